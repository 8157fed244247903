//! As much of HTTP/1.1 as a proxy in tests needs.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream},
    net::TcpStream,
};

/// A request as it came.
pub(crate) struct Request {
    /// The first line and the headers, with their ends.
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The next one of a connection; `None` where it ends.
    pub(crate) async fn read<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>) -> io::Result<Option<Request>> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if stream.read_line(&mut head).await? == 0 {
                return Ok(None);
            }
            if &head[before..] == "\r\n" {
                break;
            }
        }
        let mut request = Request { head, body: Vec::new() };
        let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        request.body = vec![0; length];
        stream.read_exact(&mut request.body).await?;
        Ok(Some(request))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// Its path, without the query.
    pub(crate) fn path(&self) -> &str {
        let target = self.head.split(' ').nth(1).unwrap_or_default();
        target.split('?').next().unwrap_or_default()
    }

    /// Sends it on a connection of its own, and answers what came, as one that the connection to the client outlives.
    pub(crate) async fn forward(&self, to: SocketAddr) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(to).await?;
        let (first, headers) = self.head.split_once("\r\n").unwrap_or_default();
        stream.write_all(format!("{first}\r\nconnection: close\r\n{headers}").as_bytes()).await?;
        stream.write_all(&self.body).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let close = b"connection: close\r\n";
        if let Some(at) = answer.windows(close.len()).position(|part| part.eq_ignore_ascii_case(close)) {
            answer.drain(at..at + close.len());
        }
        match answer.is_empty() {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(answer),
        }
    }
}
