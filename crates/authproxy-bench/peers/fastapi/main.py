"""The program that the seed describes: FastAPI, Pydantic, httpx, tokens in a dictionary behind a session cookie.

Written from the seed's README for the comparison. AUTH_URL is the auth service; HTTP_CLIENT=shared has one HTTP client
for all requests, where the seed makes a new one for each.
"""
import os
import time
import uuid
from contextlib import asynccontextmanager

import httpx
from fastapi import Cookie, Depends, FastAPI, Form, HTTPException, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

AUTH_URL = os.environ["AUTH_URL"]
ACCESS_LIFE, REFRESH_LIFE = 120, 240
shared = httpx.AsyncClient() if os.environ.get("HTTP_CLIENT") == "shared" else None

app = FastAPI(title="FastAPI-Auth-Proxy")
security = HTTPBearer()
user_tokens = {}
sessions = {}


class RegisterRequest(BaseModel):
    email: str
    password: str


class RefreshRequest(BaseModel):
    refresh_token: str


@asynccontextmanager
async def http_client():
    if shared is not None:
        yield shared
    else:
        async with httpx.AsyncClient() as client:
            yield client


def store_tokens(user, tokens):
    now = time.time()
    user_tokens[user] = {
        "access_token": tokens["access_token"],
        "refresh_token": tokens["refresh_token"],
        "access_expires": now + ACCESS_LIFE,
        "refresh_expires": now + REFRESH_LIFE,
    }


async def post(path, **arguments):
    async with http_client() as client:
        response = await client.post(f"{AUTH_URL}{path}", **arguments)
    if response.status_code != 200:
        raise HTTPException(status_code=response.status_code, detail=response.json())
    return response.json()


async def protected_resource(access_token):
    async with http_client() as client:
        response = await client.get(f"{AUTH_URL}/protected", headers={"Authorization": f"Bearer {access_token}"})
    if response.status_code != 200:
        raise HTTPException(status_code=response.status_code, detail=response.json())
    return response.json()


async def valid_access_token(user):
    tokens = user_tokens.get(user)
    now = time.time()
    if tokens is None or now >= tokens["refresh_expires"]:
        user_tokens.pop(user, None)
        raise HTTPException(status_code=401, detail="Session expired")
    if now >= tokens["access_expires"]:
        store_tokens(user, await post("/refresh", json={"refresh_token": tokens["refresh_token"]}))
    return user_tokens[user]["access_token"]


@app.post("/register")
async def register(request: RegisterRequest):
    return await post("/register", json=request.model_dump())


@app.post("/login")
async def login(
    response: Response,
    username: str = Form(...),
    password: str = Form(...),
    grant_type: str = Form("password"),
    scope: str = Form(""),
    client_id: str = Form("string"),
    client_secret: str = Form("string"),
):
    form = {
        "username": username,
        "password": password,
        "grant_type": grant_type,
        "scope": scope,
        "client_id": client_id,
        "client_secret": client_secret,
    }
    tokens = await post("/login", data=form)
    session_id = str(uuid.uuid4())
    sessions[session_id] = username
    store_tokens(username, tokens)
    response.set_cookie("session_id", session_id, httponly=True, max_age=REFRESH_LIFE)
    return tokens


@app.post("/refresh")
async def refresh(request: RefreshRequest):
    return await post("/refresh", json={"refresh_token": request.refresh_token})


@app.get("/protected")
async def protected(credentials: HTTPAuthorizationCredentials = Depends(security)):
    return await protected_resource(credentials.credentials)


@app.get("/protected-auto")
async def protected_auto(session_id: str | None = Cookie(None)):
    if session_id is None:
        raise HTTPException(status_code=401, detail="No session cookie found. Please login first.")
    user = sessions.get(session_id)
    if user is None:
        raise HTTPException(status_code=401, detail="Invalid session. Please login again.")
    return await protected_resource(await valid_access_token(user))


@app.post("/logout")
async def logout(response: Response, session_id: str | None = Cookie(None)):
    user = sessions.pop(session_id, None)
    user_tokens.pop(user, None)
    response.delete_cookie("session_id")
    return {"message": "Logged out successfully"}
