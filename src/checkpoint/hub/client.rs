//! Asks a hub: one request at a time, each with limits.
use super::settings::HubSettings;
use std::io::Read;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::{Agent, Body, BodyReader};

/// Redirects of one request.
const REDIRECTS_MAX: usize = 10;

/// The longest wait that a hub may ask for. A longer wait is told instead.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Bytes of an answer that is taken as text: a list of 10,000 files has about two million.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// Bytes of one read from a connection.
pub(super) const READ_BYTES: usize = 1 << 16;

/// Why a request brought nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    Status(u16),
    /// The hub has too much to do, and says for how long at least.
    Busy {
        status: u16,
        wait: Duration,
    },
    Unreachable(String),
    /// An answer that no hub gives.
    NotAHub(String),
}

impl Refusal {
    /// The connection ended before the file did.
    pub fn cut(done: u64, bytes: u64) -> Self {
        Self::Unreachable(format!(
            "the connection was closed after {done} of {bytes} bytes"
        ))
    }

    /// True where the same request may succeed a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Status(status) => *status >= 500 || matches!(status, 408 | 429),
            Self::Busy { wait, .. } => *wait <= WAIT_MAX,
            Self::Unreachable(_) => true,
            Self::NotAHub(_) => false,
        }
    }

    /// How long the hub wants no further request.
    pub fn wait(&self) -> Duration {
        match self {
            Self::Busy { wait, .. } => *wait,
            _ => Duration::ZERO,
        }
    }
}

#[derive(Clone)]
pub(super) struct Client<'a> {
    pub settings: &'a HubSettings,
    agent: Agent,
}

/// An answer whose body is still to be read.
pub(super) struct Answer {
    /// Where in the file the body begins.
    pub start: u64,
    /// The whole file's bytes, where the hub says them.
    pub total: Option<u64>,
    body: BodyReader<'static>,
    stall_max: Duration,
}

impl<'a> Client<'a> {
    pub fn new(settings: &'a HubSettings) -> Self {
        let stall_max = Some(settings.stall_max);
        let config = Agent::config_builder()
            // Followed here: a token is for the hub alone.
            .max_redirects(0)
            .http_status_as_error(false)
            // A file's length is that of its bytes as they come.
            .accept_encoding("identity")
            .user_agent(concat!("egss/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(stall_max)
            .timeout_connect(stall_max)
            .timeout_per_read(stall_max)
            .timeout_per_write(stall_max);
        Self {
            settings,
            agent: config.build().into(),
        }
    }

    /// Asks for what is at `url`, from a byte on where one is given.
    pub fn get(&self, url: &str, from: Option<u64>) -> Result<Answer, Refusal> {
        let response = self.follow(url, from)?;
        let status = response.status().as_u16();
        let start = from.unwrap_or(0);
        let (start, total) = match (status, from) {
            (200, _) => (0, content_length(response.headers())),
            (206, Some(_)) => {
                let range = content_range(response.headers());
                let (first, total) = range.ok_or_else(|| {
                    Refusal::NotAHub("a part of a file comes without a Content-Range".into())
                })?;
                if first != Some(start) {
                    return Err(Refusal::NotAHub(format!(
                        "bytes from {start} on were asked for and others came"
                    )));
                }
                (start, total)
            }
            // The file ends before the byte that was asked for.
            (416, Some(_)) => match content_range(response.headers()) {
                Some((_, Some(total))) => (start.min(total), Some(total)),
                _ => (0, Some(start)),
            },
            (429 | 503, _) => {
                return Err(match retry_after(response.headers()) {
                    Some(wait) => Refusal::Busy { status, wait },
                    None => Refusal::Status(status),
                });
            }
            _ => return Err(Refusal::Status(status)),
        };
        Ok(Answer {
            start,
            total,
            body: response.into_body().into_reader(),
            stall_max: self.settings.stall_max,
        })
    }

    /// The answer behind all redirects.
    fn follow(&self, url: &str, from: Option<u64>) -> Result<Response<Body>, Refusal> {
        let no_url = |text: &str| Refusal::NotAHub(format!("{text:?} is no URL"));
        let hub: Uri = url.parse().map_err(|_| no_url(url))?;
        let mut at = hub.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self.agent.get(&at);
            if let Some(from) = from {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            if let Some(token) = &self.settings.token
                && is_same_origin(&at, &hub)
            {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call();
            let response = response.map_err(|error| unreachable(error, self.settings.stall_max))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let location = response.headers().get(header::LOCATION);
            let location = location.and_then(|text| text.to_str().ok());
            let location = location
                .ok_or_else(|| Refusal::NotAHub("it redirects without saying where to".into()))?;
            let next = resolved(&at, location).ok_or_else(|| no_url(location))?;
            if at.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(Refusal::NotAHub(format!(
                    "it redirects to {next}, which is not encrypted"
                )));
            }
            at = next;
        }
        Err(Refusal::NotAHub(format!(
            "it redirects more than {REDIRECTS_MAX} times"
        )))
    }
}

impl Answer {
    /// Reads some of the body; 0 at its end.
    pub fn read(&mut self, block: &mut [u8]) -> Result<usize, Refusal> {
        let read = self.body.read(block);
        read.map_err(|error| unreachable(ureq::Error::from(error), self.stall_max))
    }

    /// All of the body, which is text.
    pub fn text(mut self) -> Result<String, Refusal> {
        let mut bytes = Vec::new();
        let mut block = vec![0; READ_BYTES];
        loop {
            match self.read(&mut block)? {
                0 => break,
                n => bytes.extend_from_slice(&block[..n]),
            }
            if bytes.len() as u64 > TEXT_BYTES_MAX {
                return Err(Refusal::NotAHub("a list of files has no end".into()));
            }
        }
        if let Some(total) = self.total.filter(|&total| total > bytes.len() as u64) {
            return Err(Refusal::cut(bytes.len() as u64, total));
        }
        String::from_utf8(bytes).map_err(|_| Refusal::NotAHub("a list of files is no text".into()))
    }
}

/// A failure on the way, in a clause.
fn unreachable(error: ureq::Error, stall_max: Duration) -> Refusal {
    Refusal::Unreachable(match error {
        ureq::Error::Timeout(_) => format!("nothing came for {} s", stall_max.as_secs_f64()),
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    })
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The seconds of a `Retry-After`; a date in it is passed over (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`: the first byte, and the whole length.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range
        .split_once('-')
        .and_then(|(first, _)| first.parse().ok());
    Some((first, total.parse().ok()))
}

/// True where both name the same server: a token for one is for the other.
fn is_same_origin(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| {
        uri.port_u16().or(match uri.scheme_str() {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        })
    };
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme() == b.scheme() && host(a) == host(b) && port(a) == port(b)
}

/// The URL that a `Location` means at `base` (RFC 9110, 10.2.2).
fn resolved(base: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let location = location.trim();
    let text = if location.contains("://") && !location.starts_with('/') {
        location.to_owned()
    } else if let Some(other) = location.strip_prefix("//") {
        format!("{scheme}://{other}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base
            .path()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let uri: Uri = text.parse().ok()?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}

/// A file's name as a part of a URL.
pub(super) fn escaped(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    name.bytes()
        .map(|byte| match is_plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_resolved_at_the_address_that_sent_it() {
        let base: Uri = "http://hub:80/a/b?c".parse().unwrap();
        let at = |location| resolved(&base, location).map(|uri| uri.to_string());
        assert_eq!(at("/x?y").as_deref(), Some("http://hub:80/x?y"));
        assert_eq!(at("x").as_deref(), Some("http://hub:80/a/x"));
        assert_eq!(at("//cdn/x").as_deref(), Some("http://cdn/x"));
        assert_eq!(
            at("https://cdn/x?u=a://b").as_deref(),
            Some("https://cdn/x?u=a://b")
        );
        assert_eq!(
            at("/x?u=https://b").as_deref(),
            Some("http://hub:80/x?u=https://b")
        );
        assert_eq!(at("file:///etc/passwd"), None);
    }

    /// hf_transfer#42: another port, another scheme and another name are another server.
    #[test]
    fn a_token_is_for_one_server() {
        let same = |a: &str, b: &str| is_same_origin(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://hub/a", "https://HUB:443/b"));
        assert!(!same("https://hub/a", "http://hub/a"));
        assert!(!same("http://127.0.0.1:1/a", "http://127.0.0.1:2/a"));
        assert!(!same("https://hub/a", "https://hub.evil/a"));
        assert!(!same("https://hub/a", "https://hub@evil/a"));
    }

    #[test]
    fn names_are_escaped_but_for_their_slashes() {
        assert_eq!(escaped("a b/ü#?.gguf"), "a%20b/%C3%BC%23%3F.gguf");
    }
}
