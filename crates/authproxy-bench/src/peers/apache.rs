//! Apache with `mod_auth_openidc`: the nearest relative, a proxy with a session that holds tokens, logged in by `OpenID`
//! Connect.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use serde_json::json;

use super::{Running, Side, Stage, free_address, version_of};
use crate::{
    auth::openid::{CLIENT, SECRET},
    load::Question,
};

const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";
const PATIENCE: Duration = Duration::from_secs(10);
/// Each is an exchange of two redirects.
const SESSIONS: u32 = 1000;

/// One process with threads.
pub(crate) struct Apache;

impl Apache {
    /// Whether it is installed, with the module.
    pub(crate) fn is_there() -> bool {
        Path::new(PROGRAM).exists() && Path::new(MODULES).join("mod_auth_openidc.so").exists()
    }
}

impl Side for Apache {
    fn name(&self) -> &'static str {
        "Apache, mod_auth_openidc"
    }

    fn version(&self) -> io::Result<String> {
        let module = version_of(Path::new("dpkg-query"), &["-W", "-f", "${Version}", "libapache2-mod-auth-openidc"]);
        let module = module.unwrap_or_else(|_| "of unknown version".into());
        Ok(format!("{}, mod_auth_openidc {module}", version_of(Path::new(PROGRAM), &["-v"])?))
    }

    fn configuration(&self) -> String {
        "mpm_event, one process with 128 threads, sessions in shared memory, logged in by OpenID Connect, the session's \
         access token sent as Authorization, no access log"
            .into()
    }

    fn start(&self, stage: &Stage<'_>) -> io::Result<Running> {
        let address = free_address()?;
        let folder = stage.file("apache");
        fs::create_dir_all(&folder)?;
        let auth = stage.auth.address();
        write_provider(&folder.join("providers"), auth)?;
        let file = folder.join("httpd.conf");
        fs::write(&file, text(stage, address, &folder))?;
        let file = file.display().to_string();
        let process = stage.serve(&[PROGRAM, "-f", &file, "-DFOREGROUND"], address, "apache.log")?;
        let ask = |user| Ok(Question::new(stage.shape.errand, user, &log_in(address, auth, user)?));
        let questions = (0..stage.shape.sessions.min(SESSIONS)).map(ask).collect::<io::Result<_>>()?;
        Ok(Running { processes: vec![process], beside: Vec::new(), address, questions })
    }
}

/// What Apache has to know of the provider. In its main configuration every endpoint would have to speak TLS.
fn write_provider(folder: &Path, auth: SocketAddr) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let issuer = format!("http://{auth}");
    let provider = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/never-asked"),
        "token_endpoint": format!("{issuer}/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "response_types_supported": ["code"],
    });
    let client = json!({
        "client_id": CLIENT,
        "client_secret": SECRET,
        "token_endpoint_auth_method": "client_secret_post",
        "id_token_signed_response_alg": "HS256",
    });
    let conf = json!({ "scope": "openid", "response_type": "code", "id_token_signed_response_alg": "HS256" });
    let name = auth.to_string().replace(':', "%3A");
    for (kind, value) in [("provider", provider), ("client", client), ("conf", conf)] {
        fs::write(folder.join(format!("{name}.{kind}")), value.to_string())?;
    }
    Ok(())
}

/// Follows the redirects of a login as a browser would, with the provider's part left out: a code is the user's name and
/// the nonce. The session's cookie.
fn log_in(address: SocketAddr, auth: SocketAddr, user: u32) -> io::Result<String> {
    let wrong = || io::Error::other("Apache does not log in as expected");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let begin = [("iss", format!("http://{auth}")), ("target_link_uri", "http://localhost/api/0000000".into())];
    let begin = serde_urlencoded::to_string(begin).map_err(io::Error::other)?;
    let first = ask(&mut stream, &format!("/callback?{begin}"), "")?;
    let location = field(&first, "location").ok_or_else(wrong)?;
    let query = location.split_once('?').ok_or_else(wrong)?.1;
    let parameters: Vec<(String, String)> = serde_urlencoded::from_str(query).map_err(io::Error::other)?;
    let parameter =
        |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).ok_or_else(wrong);
    let (state, nonce) = (parameter("state")?, parameter("nonce")?);
    let cookie = field(&first, "set-cookie").and_then(|cookie| cookie.split(';').next()).ok_or_else(wrong)?;
    let callback = format!("/callback?code={user:07}.{nonce}&state={state}");
    let second = ask(&mut stream, &callback, cookie)?;
    let cookies = second.lines().filter_map(|line| line.split_once(": ")).filter(|(name, _)| is(name, "set-cookie"));
    let session = cookies.filter_map(|(_, cookie)| cookie.split(';').next());
    session.map(str::to_owned).find(|pair| pair.starts_with("mod_auth_openidc_session=")).ok_or_else(wrong)
}

/// The head of the answer to a GET; its body is read and dropped.
fn ask(stream: &mut TcpStream, target: &str, cookie: &str) -> io::Result<String> {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nCookie: {cookie}\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            arrived => answer.extend_from_slice(&part[..arrived]),
        }
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize = field(head, "content-length").and_then(|value| value.parse().ok()).unwrap_or_default();
            if body.len() >= length {
                return Ok(head.to_owned());
            }
        }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(": ")).find(|(field, _)| is(field, name)).map(|(_, value)| value)
}

fn is(field: &str, name: &str) -> bool {
    field.eq_ignore_ascii_case(name)
}

fn text(stage: &Stage<'_>, address: SocketAddr, folder: &Path) -> String {
    let (folder, upstream) = (folder.display(), stage.upstream);
    let modules =
        ["mpm_event", "authn_core", "authz_core", "authz_user", "headers", "proxy", "proxy_http", "auth_openidc"];
    let loads = modules.iter().fold(String::new(), |mut text, name| {
        let _ = writeln!(text, "LoadModule {name}_module {MODULES}/mod_{name}.so");
        text
    });
    format!(
        r#"{loads}ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ErrorLog /dev/stderr
LogLevel error
User www-data
Group www-data
ServerName localhost
Listen {address}
StartServers 1
ServerLimit 1
ThreadLimit 128
ThreadsPerChild 128
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 128
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 600

OIDCMetadataDir {folder}/providers
OIDCRedirectURI http://localhost/callback
OIDCCryptoPassphrase "of no use elsewhere"
OIDCCacheType shm
OIDCCacheShmMax 4096
OIDCSessionInactivityTimeout 36000
OIDCPassClaimsAs environment

<Location /callback>
    AuthType openid-connect
    Require valid-user
</Location>
<Location /api/>
    AuthType openid-connect
    Require valid-user
    RequestHeader set Authorization "Bearer %{{OIDC_access_token}}e"
    ProxyPass http://{upstream}/api/
</Location>
"#
    )
}
