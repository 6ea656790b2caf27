//! The load generator of nghttp2.

use std::{
    io,
    process::{Command, Stdio},
};

/// What one run says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) requests_per_second: f64,
    /// Answers with a status of 2xx.
    pub(super) right: u64,
    pub(super) body_bytes: u64,
    pub(super) cipher: String,
}

/// Its name and version.
pub(super) fn version() -> io::Result<String> {
    let output = Command::new("h2load").arg("--version").stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// So many requests for a URL, with a field in each, in one thread.
pub(super) fn run(flags: &[&str], requests: u32, field: &str, url: &str) -> io::Result<Run> {
    let requests = format!("--requests={requests}");
    let output = Command::new("timeout")
        .args(["120", "h2load", "--threads=1", &requests, "--header", field])
        .args(flags)
        .arg(url)
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    read(&text).ok_or_else(|| io::Error::other(format!("h2load says: {text}")))
}

fn read(text: &str) -> Option<Run> {
    let line = |begin: &str| text.lines().find_map(|line| line.strip_prefix(begin));
    let (_, rest) = line("finished in ")?.split_once(", ")?;
    let bytes = line("traffic: ")?.rsplit_once('(')?.1;
    Some(Run {
        requests_per_second: rest.split_once(" req/s")?.0.parse().ok()?,
        right: line("status codes: ")?.split_once(" 2xx")?.0.parse().ok()?,
        body_bytes: bytes.split_once(')')?.0.parse().ok()?,
        cipher: line("Cipher: ").unwrap_or("none").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
starting benchmark...
TLS Protocol: TLSv1.3
Cipher: TLS_AES_256_GCM_SHA384
progress: 100% done

finished in 1.23s, 8130.08 req/s, 9.12MB/s
requests: 10000 total, 10000 started, 10000 done, 10000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 9998 2xx, 0 3xx, 2 4xx, 0 5xx
traffic: 11.22MB (11768000) total, 976.56KB (1000000) headers (space savings 0.00%), 9.77MB (10237952) data
";

    #[test]
    fn what_it_prints_is_read() {
        let run = Run {
            requests_per_second: 8130.08,
            right: 9998,
            body_bytes: 10_237_952,
            cipher: "TLS_AES_256_GCM_SHA384".into(),
        };
        assert_eq!(read(TEXT), Some(run));
        assert_eq!(read("error: connection refused"), None);
    }
}
