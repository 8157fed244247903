//! What becomes of one request.

use std::{io::Write, time::Duration};

use serde::Deserialize;
use smalt::{Code, Error};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// What becomes of one request; `{"do": "arm", "fault": "reset", "times": 2}` asks for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// The server is asked, and answers, so many milliseconds later.
    Latency { ms: u64 },
    /// The connection is reset; with `after` when the server has done what it was asked, so that only its answer is lost.
    Reset {
        #[serde(default)]
        after: bool,
    },
    /// No more comes (FIN), and nothing was answered.
    HalfClose {
        #[serde(default)]
        after: bool,
    },
    /// Nothing comes until the client goes away.
    Silence {
        #[serde(default)]
        after: bool,
    },
    /// The answer ends in the middle of its body; with `reset` by a reset.
    Truncated {
        #[serde(default)]
        reset: bool,
    },
    /// The answer comes byte by byte, one a second.
    Trickle,
    /// Bytes that are no HTTP.
    Garbage,
    /// This status, with `retry-after` in seconds and this body, from something in front of the server.
    Status {
        status: u16,
        retry_after: Option<u64>,
        #[serde(default)]
        body: String,
    },
    /// What a server says when its work ends in this code, in its own form.
    Says { code: String },
    /// 200 with a page.
    Html,
    /// A whole answer whose JSON ends early.
    HalfJson,
    /// 200 and no body.
    Empty,
    /// 204.
    Nothing,
    /// 200 in the form of HTML forms.
    Form,
    /// 256 MiB of blanks.
    Huge {
        #[serde(default)]
        chunked: bool,
    },
    /// Less than 1 MB that unpacks to 256 MiB.
    Bomb,
    /// A header of 1 MiB.
    HugeHead,
    /// Sent on to another path of the same listener, which counts who comes.
    Redirect,
    /// The server is ended and started again before the answer is given, and the connection is reset.
    Restart {
        #[serde(default)]
        after: bool,
    },
}

/// How a connection goes on.
pub(crate) enum Next {
    /// With the next request.
    Go,
    /// It ends (FIN).
    Close,
    /// It is reset (RST).
    Reset,
}

impl Fault {
    /// Whether the server is asked.
    pub(crate) fn reaches(&self) -> bool {
        match self {
            Fault::Reset { after } | Fault::HalfClose { after } | Fault::Silence { after } | Fault::Restart { after } => *after,
            Fault::Latency { .. } | Fault::Truncated { .. } | Fault::Trickle => true,
            _ => false,
        }
    }

    /// Answers with it. `answer` is what the server said, where it was asked.
    pub(crate) async fn play<S: AsyncRead + AsyncWrite + Unpin>(self, stream: &mut S, answer: &[u8]) -> std::io::Result<Next> {
        match self {
            Fault::Latency { .. } => {
                stream.write_all(answer).await?;
                return Ok(Next::Go);
            }
            Fault::Reset { .. } | Fault::Restart { .. } => return Ok(Next::Reset),
            Fault::HalfClose { .. } => {
                stream.shutdown().await?;
                gone(stream).await;
            }
            Fault::Silence { .. } => gone(stream).await,
            Fault::Truncated { reset } => {
                let body = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
                stream.write_all(&answer[..body.midpoint(answer.len())]).await?;
                stream.flush().await?;
                if reset {
                    return Ok(Next::Reset);
                }
            }
            Fault::Trickle => {
                for byte in answer {
                    stream.write_all(&[*byte]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Fault::Garbage => stream.write_all(b"\x00\x17\xffnot at all what was asked for\r\n\r\n\x80\x81").await?,
            Fault::Status { status, retry_after, body } => {
                let wait = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
                return whole(stream, status, &format!("content-type: text/plain\r\n{wait}"), body.as_bytes()).await;
            }
            Fault::Says { code } => {
                let code = Code::parse(&code).ok_or_else(|| std::io::Error::other(format!("there is no code `{code}`")))?;
                let said = smalt::wire::failure(&Error::code_only(code), "faults");
                let body = serde_json::to_vec(&said)?;
                return whole(stream, said.status_code, "content-type: application/json\r\n", &body).await;
            }
            Fault::Html => return whole(stream, 200, "content-type: text/html\r\n", b"<!doctype html><title>Please log in</title>").await,
            Fault::HalfJson => return whole(stream, 200, "content-type: application/json\r\n", br#"{"id": "acme-1", "rec"#).await,
            Fault::Empty => return whole(stream, 200, "content-type: application/json\r\n", b"").await,
            Fault::Nothing => {
                stream.write_all(b"HTTP/1.1 204 X\r\n\r\n").await?;
                return Ok(Next::Go);
            }
            Fault::Form => {
                return whole(stream, 200, "content-type: application/x-www-form-urlencoded\r\n", b"id=acme-1&record_id=r").await;
            }
            Fault::Huge { chunked } => huge(stream, chunked).await?,
            Fault::Bomb => return whole(stream, 200, "content-type: application/json\r\ncontent-encoding: gzip\r\n", &bomb()?).await,
            Fault::HugeHead => {
                let head = format!("content-type: application/json\r\nx-large: {}\r\n", "x".repeat(1 << 20));
                return whole(stream, 200, &head, b"{}").await;
            }
            Fault::Redirect => return whole(stream, 307, "location: /elsewhere\r\n", b"").await,
        }
        Ok(Next::Close)
    }
}

/// Until the client has gone away.
async fn gone<S: AsyncRead + Unpin>(stream: &mut S) {
    let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
}

async fn whole<S: AsyncWrite + Unpin>(stream: &mut S, status: u16, head: &str, body: &[u8]) -> std::io::Result<Next> {
    let head = format!("HTTP/1.1 {status} X\r\n{head}content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await?;
    Ok(Next::Go)
}

const MIB: usize = 1 << 20;

async fn huge<S: AsyncWrite + Unpin>(stream: &mut S, chunked: bool) -> std::io::Result<()> {
    let how = if chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {}", 256 * MIB) };
    stream.write_all(format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\n{how}\r\n\r\n").as_bytes()).await?;
    let blanks = vec![b' '; MIB];
    for _ in 0..256 {
        if chunked {
            stream.write_all(b"100000\r\n").await?;
        }
        stream.write_all(&blanks).await?;
        if chunked {
            stream.write_all(b"\r\n").await?;
        }
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

fn bomb() -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let blanks = vec![b' '; MIB];
    for _ in 0..256 {
        encoder.write_all(&blanks)?;
    }
    encoder.finish()
}
