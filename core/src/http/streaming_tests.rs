#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::AtomicUsize,
    thread,
};

use super::*;
use crate::{
    Code,
    http::{AddressPolicy, HostPort},
    plugin::{HttpRequest, HttpTransport, UploadSource},
};

/// 200 MB.
const LARGE: usize = 200 * 1000 * 1000;
/// More than pieces and socket buffers hold on the way, and far less than the whole.
const BOUND: usize = 64 * 1000 * 1000;

/// A server for one connection; answers its URL.
fn serve(answer: impl FnOnce(TcpStream) + Send + 'static) -> url::Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap()).parse().unwrap();
    thread::spawn(move || answer(listener.accept().unwrap().0));
    url
}

/// Reads a request's head; answers its lines.
fn head(stream: &mut BufReader<TcpStream>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => return lines,
            line => lines.push(line.to_ascii_lowercase()),
        }
    }
}

fn transport(url: &url::Url) -> ReqwestTransport {
    ReqwestTransport::new(AddressPolicy::default().with(HostPort::of(url).unwrap())).unwrap()
}

fn request(method: &str, url: &url::Url, upload: Option<Upload>) -> StreamRequest {
    StreamRequest { head: HttpRequest::new(method, url.clone()), upload, silence: Duration::from_secs(60), most: 1 << 40 }
}

/// Waits until the number has stopped moving. On a machine that is very slow it may only seem so; then less is shown.
async fn settled(number: &AtomicUsize) -> usize {
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = number.load(Ordering::SeqCst);
        if now > 0 && now == last {
            return now;
        }
        last = now;
    }
}

/// So many bytes in pieces; counts what it gave.
struct Counted {
    left: usize,
    given: Arc<AtomicUsize>,
}

#[async_trait]
impl UploadSource for Counted {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let size = self.left.min(256 * 1024);
        self.left -= size;
        self.given.fetch_add(size, Ordering::SeqCst);
        Ok((size > 0).then(|| vec![7; size]))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_goes_out_as_it_is_taken() {
    for length in [Some(LARGE as u64), None] {
        let (go, may_read) = std::sync::mpsc::channel::<()>();
        let (tell, told) = tokio::sync::oneshot::channel();
        let url = serve(move |stream| {
            let mut stream = BufReader::new(stream);
            let lines = head(&mut stream);
            // Nothing is read until the sender was seen to wait.
            may_read.recv().unwrap();
            let mut received = 0_usize;
            if lines.iter().any(|line| line == "transfer-encoding: chunked") {
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).unwrap();
                    let size = usize::from_str_radix(line.trim(), 16).unwrap();
                    let mut piece = vec![0; size + 2];
                    stream.read_exact(&mut piece).unwrap();
                    received += size;
                    if size == 0 {
                        break;
                    }
                }
            } else {
                let mut piece = vec![0; 1 << 20];
                while received < LARGE {
                    received += stream.read(&mut piece).unwrap();
                }
            }
            tell.send((lines, received)).unwrap();
            stream.get_mut().write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok").unwrap();
        });
        let given = Arc::new(AtomicUsize::new(0));
        let mut upload = Upload::new("video/mp4", Counted { left: LARGE, given: given.clone() });
        upload.length = length;
        let client = transport(&url);
        let sending = tokio::spawn(async move { client.stream(request("PUT", &url, Some(upload))).await });
        let ahead = settled(&given).await;
        assert!(ahead < BOUND, "{ahead} bytes were taken from the source while the provider read nothing");
        go.send(()).unwrap();
        let answer = sending.await.unwrap().unwrap();
        assert_eq!((answer.status, answer.rest(10).await.unwrap()), (201, b"ok".to_vec()));
        let (lines, received) = told.await.unwrap();
        assert_eq!(received, LARGE);
        assert!(lines.contains(&"content-type: video/mp4".to_owned()), "{lines:?}");
        assert_eq!(lines.contains(&format!("content-length: {LARGE}")), length.is_some(), "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_download_is_fetched_as_it_is_read() {
    let written = Arc::new(AtomicUsize::new(0));
    let counter = written.clone();
    let url = serve(move |stream| {
        let mut stream = BufReader::new(stream);
        head(&mut stream);
        let stream = stream.get_mut();
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n").as_bytes()).unwrap();
        let piece = vec![9; 100_000];
        for _ in 0..LARGE / piece.len() {
            stream.write_all(&piece).unwrap();
            counter.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    let mut answer = transport(&url).stream(request("GET", &url, None)).await.unwrap();
    assert_eq!(answer.header("content-length"), Some(&*LARGE.to_string()));
    let mut read = answer.next().await.unwrap().unwrap().len();
    let ahead = settled(&written).await;
    assert!(ahead < BOUND, "{ahead} bytes were fetched while nobody read");
    let mut largest = 0;
    while let Some(piece) = answer.next().await.unwrap() {
        assert!(piece.iter().all(|byte| *byte == 9));
        read += piece.len();
        largest = largest.max(piece.len());
    }
    assert_eq!(read, LARGE);
    assert!(largest < 4 * 1024 * 1024, "{largest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_a_stream_and_slowness_does_not() {
    // Silent before the head, and in the middle of a body.
    let url = serve(|stream| {
        let mut stream = BufReader::new(stream);
        head(&mut stream);
        let _ = stream.read(&mut [0; 1]);
    });
    let short = |url: &url::Url| StreamRequest { silence: Duration::from_millis(300), ..request("GET", url, None) };
    assert!(transport(&url).stream(short(&url)).await.unwrap_err().is(Code::ProviderTimeout));
    let url = serve(|stream| {
        let mut stream = BufReader::new(stream);
        head(&mut stream);
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    let patient = |url: &url::Url| StreamRequest { silence: Duration::from_millis(2500), ..request("GET", url, None) };
    let mut answer = transport(&url).stream(patient(&url)).await.unwrap();
    assert_eq!(answer.next().await.unwrap().unwrap(), b"abc");
    assert!(answer.next().await.unwrap_err().is(Code::ProviderTimeout));
    // Longer in all than the silence that is allowed, with something in each part of it.
    let url = serve(|stream| {
        let mut stream = BufReader::new(stream);
        head(&mut stream);
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n").unwrap();
        for _ in 0..12 {
            stream.get_mut().write_all(b"x").unwrap();
            thread::sleep(Duration::from_millis(250));
        }
    });
    assert_eq!(transport(&url).stream(patient(&url)).await.unwrap().rest(100).await.unwrap().len(), 12);
}

struct Fails(usize);

#[async_trait]
impl UploadSource for Fails {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if self.0 == 0 {
            bail!(PluginFailed, "the file went away");
        }
        self.0 -= 1;
        Ok(Some(vec![1; 1000]))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_lies_end_a_stream() {
    let sink = || {
        serve(|stream| {
            let mut stream = BufReader::new(stream);
            head(&mut stream);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        })
    };
    let counted = |left| Counted { left, given: Arc::default() };
    let failed = async |upload: Upload, most: u64| {
        let url = sink();
        let request = StreamRequest { most, ..request("POST", &url, Some(upload)) };
        transport(&url).stream(request).await.unwrap_err().code()
    };
    assert_eq!(failed(Upload::new("a/b", counted(2_000_000)), 1_000_000).await, Code::InvalidRequest, "more than is allowed");
    assert_eq!(failed(Upload::new("a/b", counted(10)).length(2_000_000), 1_000_000).await, Code::InvalidRequest, "announced as more");
    assert_eq!(failed(Upload::new("a/b", counted(500_000)).length(400_000), 1_000_000).await, Code::InvalidRequest, "more than announced");
    assert_eq!(failed(Upload::new("a/b", counted(300_000)).length(400_000), 1_000_000).await, Code::InvalidRequest, "less than announced");
    assert_eq!(failed(Upload::new("a/b", Fails(3)), 1_000_000).await, Code::PluginFailed, "the source's own error");
    assert_eq!(failed(Upload::new("a\r\nb: c", counted(1)), 1_000_000).await, Code::InvalidRequest, "S-54");

    let url = serve(|stream| {
        let mut stream = BufReader::new(stream);
        head(&mut stream);
        let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        while stream.get_mut().write_all(&[0; 100_000]).is_ok() {}
    });
    let request = StreamRequest { most: 1_000_000, ..request("GET", &url, None) };
    assert!(transport(&url).stream(request).await.unwrap().rest(usize::MAX).await.unwrap_err().is(Code::AnswerTooLarge));
    // Where nobody may call, nothing is called.
    let url = "http://127.0.0.1:1/x".parse().unwrap();
    let closed = ReqwestTransport::new(AddressPolicy::default()).unwrap();
    assert!(closed.stream(self::request("GET", &url, None)).await.unwrap_err().is(Code::AddressRefused));
}
