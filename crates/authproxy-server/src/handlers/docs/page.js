// "Try it out" runs on this page's own origin, so the browser keeps and sends the session cookie by itself.
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  tryItOutEnabled: true,
  withCredentials: true,
  persistAuthorization: false,
  validatorUrl: null,
});
