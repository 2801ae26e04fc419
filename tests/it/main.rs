//! The built program as its users meet it: a server of its own for each test, real requests, real
//! processes. Nothing here reaches into the crate.

mod api;
mod cluster;
mod command_line;
mod configuration;
mod exec;
mod hostile;
mod http;
mod http_bad_input;
mod http_follow;
mod images;
mod isolation;
mod language;
mod language_errors;
mod limits;
mod processes;
mod sandbox;
mod server;
mod sessions;
mod stop;
mod support;
mod tasks;
