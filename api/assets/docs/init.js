// Draws the OpenAPI document of this very server. Nothing is asked of another host: the validator
// badge, which would send the document away, is off, and the query string cannot name another one.
"use strict";

window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  validatorUrl: null,
  queryConfigEnabled: false,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // An API key typed here is gone with the page.
  persistAuthorization: false,
  tryItOutEnabled: false,
});
