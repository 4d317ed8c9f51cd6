//! What several tests need: a server that misbehaves on demand, and a vendor built on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON request")
    }
}

/// What a server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers.
    Http { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// Hangs up without a word.
    HangUp,
    /// Says nothing for as long as the other side waits.
    Silence,
    /// Announces a length, sends this, hangs up.
    Half { announced: usize, body: Vec<u8> },
    /// As `Half`, and then says nothing for as long as the other side waits.
    Stalled { announced: usize, body: Vec<u8> },
    /// Sends a status and a body that does not end.
    Endless { status: u16 },
    /// Sends a body byte by byte, for ever.
    Drip,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self::Http { status, headers, body: body.to_string().into_bytes() }
    }

    /// A file.
    pub(crate) fn file(content_type: &str, body: Vec<u8>) -> Self {
        Self::Http { status: 200, headers: vec![("content-type", content_type.to_owned())], body }
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::Http { status: 302, headers: vec![("location", to.to_owned())], body: Vec::new() }
    }
}

type Script = dyn FnMut(&Request) -> Reply + Send;

/// An HTTP server on a port of this machine. It runs on a thread of its own, so that a test may block.
pub(crate) struct Server {
    port: u16,
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
}

struct Shared {
    script: Mutex<Box<Script>>,
    requests: Mutex<Vec<Request>>,
}

impl Server {
    /// Starts on any free port.
    pub(crate) async fn start(script: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let shared = Shared { script: Mutex::new(Box::new(script)), requests: Mutex::default() };
        let mut server = Self { port: 0, runtime: None, shared: Arc::new(shared) };
        server.listen().await;
        server
    }

    /// A server that gives the same reply to everything.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// The only request so far.
    pub(crate) fn request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// Kills it: the port is closed, calls in flight are cut off.
    pub(crate) fn stop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // On a thread of its own, because a runtime must not be waited for within another. Afterwards the port
        // refuses connections; before, one could still be taken in and cut off.
        let killing = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
        killing.join().expect("the server ends");
    }

    /// Starts it again on its port.
    pub(crate) async fn restart(&mut self) {
        self.stop();
        self.listen().await;
    }

    async fn listen(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let shared = Arc::clone(&self.shared);
        let port = self.port;
        let (tell, told) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let listener = bind(port).await;
            tell.send(listener.local_addr().expect("an address").port()).expect("somebody waits");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        self.port = told.await.expect("a port to listen on");
        self.runtime = Some(runtime);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The port of a server that was just killed may be closed a moment later.
async fn bind(port: u16) -> TcpListener {
    for _ in 0..500 {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("port {port} does not become free");
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(request) = read_request(&mut stream).await else { return };
    let reply = (lock(&shared.script))(&request);
    lock(&shared.requests).push(request);
    // A peer that hangs up first is part of many tests.
    let _gone = send(&mut stream, reply).await.is_err();
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request { method, path, headers, body })
}

async fn send(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    let open = |status: u16| format!("HTTP/1.1 {status} X\r\nconnection: close\r\n\r\n").into_bytes();
    match reply {
        Reply::Http { status, headers, body } => {
            let mut head =
                format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
            stream.shutdown().await
        }
        Reply::HangUp => Ok(()),
        Reply::Silence => stream.read_u8().await.map(drop),
        Reply::Half { announced, body } => {
            let head = format!("HTTP/1.1 200 X\r\ncontent-length: {announced}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await
        }
        Reply::Stalled { announced, body } => {
            let head = format!("HTTP/1.1 200 X\r\ncontent-length: {announced}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
            stream.read_u8().await.map(drop)
        }
        Reply::Endless { status } => {
            stream.write_all(&open(status)).await?;
            let block = vec![b'{'; 64 << 10];
            loop {
                stream.write_all(&block).await?;
            }
        }
        Reply::Drip => {
            stream.write_all(&open(200)).await?;
            loop {
                stream.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server that speaks OpenAI's protocol: it answers chats with a sentence that names the prompt, and image
/// generations with a picture of the asked size.
pub(crate) struct FakeVendor {
    server: Server,
    instead: Arc<Mutex<Option<Reply>>>,
}

impl FakeVendor {
    /// Starts on any free port.
    pub(crate) async fn start() -> Self {
        let instead: Arc<Mutex<Option<Reply>>> = Arc::default();
        let other = Arc::clone(&instead);
        let server =
            Server::start(move |request| lock(&other).clone().unwrap_or_else(|| vendor_answer(request)));
        Self { server: server.await, instead }
    }

    /// Its base address, with the version: `http://127.0.0.1:49152/v1`.
    pub(crate) fn url(&self) -> String {
        format!("{}/v1", self.server.url())
    }

    /// How many calls have reached it, through all its lives.
    pub(crate) fn calls(&self) -> usize {
        self.server.requests().len()
    }

    /// Every call that has reached it.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// Kills it, calls in flight included.
    pub(crate) fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again at the same address.
    pub(crate) async fn restart(&mut self) {
        self.server.restart().await;
    }

    /// From now on it gives this reply to everything; `None` brings it back to work.
    pub(crate) fn answer_instead(&self, reply: Option<Reply>) {
        *lock(&self.instead) = reply;
    }
}

fn vendor_answer(request: &Request) -> Reply {
    let asked = request.json();
    match request.path.as_str() {
        "/v1/chat/completions" => {
            let prompt = asked["messages"]
                .as_array()
                .and_then(|all| all.last())
                .map_or("", |last| last["content"].as_str().unwrap_or_default());
            let text = format!("The fake vendor's answer to: {prompt}");
            Reply::json(
                200,
                &json!({"id": "chatcmpl-1", "object": "chat.completion", "model": asked["model"],
                "choices": [{"index": 0, "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text, "refusal": null}}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}}),
            )
        }
        "/v1/images/generations" => {
            let (width, height) =
                asked["size"].as_str().and_then(|size| size.split_once('x')).unwrap_or(("1024", "1024"));
            let size = (width.parse().unwrap_or(1024), height.parse().unwrap_or(1024));
            let encoded = base64::engine::general_purpose::STANDARD.encode(picture(size));
            Reply::json(200, &json!({"created": 1_795_355_340, "data": [{"b64_json": encoded}]}))
        }
        _ => Reply::json(404, &json!({"detail": "Not Found"})),
    }
}

/// A PNG that is not one flat colour.
pub(crate) fn picture((width, height): (u32, u32)) -> Vec<u8> {
    let shade =
        |x: u32, y: u32| [x % 256, y % 256, (x / 4 + y / 4) % 256].map(|c| u8::try_from(c).expect("a byte"));
    let pixels = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(shade(x, y)));
    let mut bytes = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, image::ImageFormat::Png).expect("a PNG");
    bytes.into_inner()
}
