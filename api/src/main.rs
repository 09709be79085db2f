mod auth;
mod client_address;
mod drain;
mod etag;
mod event_stream;
mod html_page;
mod idempotent;
mod json_body;
mod metrics;
mod middleware;
mod openapi;
mod paging;
mod path_id;
mod problem;
mod query;
mod readiness;
mod routes;
mod server;
mod state;
mod time_text;

fn main() {}
