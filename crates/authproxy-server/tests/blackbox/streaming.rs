//! A gibibyte each way through the program, in flat memory.

use std::net::SocketAddr;

use authproxy_testing::{FakeUpstream, Pattern, Play, Tally, Tallying};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{config_file::ConfigFile, http, program::Program};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

struct Site {
    upstream: FakeUpstream,
    program: Program,
    address: SocketAddr,
    /// The fields of a request with a session.
    fields: String,
    _file: ConfigFile,
}

impl Site {
    async fn start(name: &str) -> Self {
        let upstream = FakeUpstream::start().await;
        upstream.on("/api/down", Play::download(GIB));
        let route = format!("[[route]]\nprefix = '/api'\nupstream = '{}'\nbody_limit = '2GiB'\n", upstream.url());
        let file = ConfigFile::new(name, &route);
        let (program, address) = Program::dev(&["--config", file.path()]);
        let login = http::log_in(address);
        let cookie = login.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let fields = format!("Host: {address}\r\nCookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\n");
        let site = Self { upstream, program, address, fields, _file: file };
        // What the first request takes once, it takes before anything is measured.
        assert!(site.send("GET /api/warm", "").await.1.starts_with("HTTP/1.1 200 "));
        site
    }

    /// Sends a head and reads the answer's.
    async fn send(&self, line: &str, more: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{line} HTTP/1.1\r\n{}{more}\r\n", self.fields).as_bytes()).await.unwrap();
        let head = head(&mut stream).await;
        (stream, head)
    }

    /// By how much the program's memory grew at its highest since `before`.
    fn growth(&self, before: u64) -> u64 {
        self.program.memory("VmHWM").saturating_sub(before)
    }
}

/// Reads a head and nothing of what follows it.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_comes_down_in_flat_memory() {
    let site = Site::start("down").await;
    let before = site.program.memory("VmHWM");
    let (mut stream, head) = site.send("GET /api/down", "").await;
    assert!(head.contains(&format!("\r\ncontent-length: {GIB}\r\n")), "{head}");
    let (mut tallying, mut buffer) = (Tallying::default(), vec![0; 256 * 1024]);
    while tallying.length() < GIB {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "it broke off after {} bytes", tallying.length());
        tallying.add(&buffer[..count]);
    }
    assert_eq!(tallying.tally(), Tally::of_pattern(GIB));
    assert!(site.growth(before) < 64 * MIB, "{} MiB", site.growth(before) / MIB);
    assert_eq!(site.program.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_goes_up_in_flat_memory() {
    let site = Site::start("up").await;
    let before = site.program.memory("VmHWM");
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    let request = format!("PUT /api/up HTTP/1.1\r\n{}Content-Length: {GIB}\r\n\r\n", site.fields);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut pattern = Pattern::new(GIB);
    while let Some(block) = pattern.next_block() {
        stream.write_all(block).await.unwrap();
    }
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    let requests = site.upstream.requests_of("/api/up");
    assert_eq!((requests.len(), requests[0].is_complete), (1, true));
    assert_eq!(requests[0].tally, Tally::of_pattern(GIB));
    assert!(site.growth(before) < 64 * MIB, "{} MiB", site.growth(before) / MIB);
    assert_eq!(site.program.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_holds_up_the_upstream_and_not_the_memory() {
    const READERS: usize = 10;
    let site = Site::start("stalled").await;
    let before = site.program.memory("VmHWM");
    let mut stalled = Vec::new();
    for _ in 0..READERS {
        stalled.push(site.send("GET /api/down", "").await.0);
    }
    site.upstream.until_stalled(READERS).await;
    assert!(site.growth(before) < 64 * MIB, "{} MiB", site.growth(before) / MIB);
    assert!(site.upstream.filled() < 32 * MIB * READERS as u64, "{} MiB are in between", site.upstream.filled() / MIB);
    drop(stalled);
    site.upstream.until_open_connections(0).await;
}
