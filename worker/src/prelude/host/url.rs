//! The URL standard, by the `url` crate.

use url::{Url, quirks};

type Arguments<'a> = v8::FunctionCallbackArguments<'a>;

/// `urlParse(href, base?)`: the parts, or nothing when it is invalid.
pub fn parse(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: Arguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let href = arguments.get(0).to_rust_string_lossy(scope);
    let base = arguments.get(1);
    let url = if base.is_undefined() {
        Url::parse(&href)
    } else {
        Url::parse(&base.to_rust_string_lossy(scope)).and_then(|base| base.join(&href))
    };
    if let Ok(url) = url
        && let Some(parts) = parts(scope, &url)
    {
        result.set(parts.into());
    }
}

/// `urlSet(href, part, value)`: the parts with one of them set, or nothing when the value is refused.
pub fn set(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: Arguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Ok(mut url) = Url::parse(&arguments.get(0).to_rust_string_lossy(scope)) else {
        return;
    };
    let value = arguments.get(2).to_rust_string_lossy(scope);
    let set = match arguments.get(1).to_rust_string_lossy(scope).as_str() {
        "href" => quirks::set_href(&mut url, &value).map_err(drop),
        "protocol" => quirks::set_protocol(&mut url, &value),
        "username" => quirks::set_username(&mut url, &value),
        "password" => quirks::set_password(&mut url, &value),
        "host" => quirks::set_host(&mut url, &value),
        "hostname" => quirks::set_hostname(&mut url, &value),
        "port" => quirks::set_port(&mut url, &value),
        "pathname" => {
            quirks::set_pathname(&mut url, &value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, &value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(&mut url, &value);
            Ok(())
        }
        _ => Err(()),
    };
    if set.is_ok()
        && let Some(parts) = parts(scope, &url)
    {
        result.set(parts.into());
    }
}

/// `[href, origin, protocol, username, password, host, hostname, port, pathname, search, hash]`.
fn parts<'s>(scope: &v8::PinScope<'s, '_>, url: &Url) -> Option<v8::Local<'s, v8::Array>> {
    let origin = quirks::origin(url);
    let texts = [
        quirks::href(url),
        origin.as_str(),
        quirks::protocol(url),
        quirks::username(url),
        quirks::password(url),
        quirks::host(url),
        quirks::hostname(url),
        quirks::port(url),
        quirks::pathname(url),
        quirks::search(url),
        quirks::hash(url),
    ];
    let mut values = Vec::with_capacity(texts.len());
    for text in texts {
        values.push(v8::String::new(scope, text)?.into());
    }
    Some(v8::Array::new_with_elements(scope, &values))
}
