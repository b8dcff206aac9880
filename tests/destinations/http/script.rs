//! A web server that answers what it is told to, and keeps what it heard.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use segcast::destination::Target;
use segcast::destination::http::Options;

/// A request.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The connection it came over, counted from 0.
    pub connection: usize,
    /// How many came before it over the same one.
    pub nth: usize,
    /// Its head, line by line.
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

impl Heard {
    pub fn line(&self) -> &str {
        &self.head[0]
    }

    pub fn method(&self) -> &str {
        self.line().split(' ').next().unwrap()
    }

    /// The value of a header; `name` in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head[1..].iter().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// What is answered.
pub struct Reply {
    text: String,
    is_last: bool,
}

impl Reply {
    /// `status` may have headers behind it.
    pub fn new(status: &str) -> Self {
        Self { text: format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"), is_last: false }
    }

    /// Closes the connection without a word.
    pub fn hang_up() -> Self {
        Self { text: String::new(), is_last: true }
    }

    #[must_use]
    pub fn with_body(mut self, body: &str) -> Self {
        self.text = self.text.replace("Length: 0", &format!("Length: {}", body.len())) + body;
        self
    }

    /// Closes the connection behind it, which is not said in it.
    #[must_use]
    pub fn then_close(self) -> Self {
        Self { is_last: true, ..self }
    }
}

type Answers = Arc<dyn Fn(&Heard) -> Reply + Send + Sync>;

/// A running server; its threads end with its connections.
pub struct Script {
    pub port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Script {
    /// Answers each request by `answer`.
    pub fn new(answer: impl Fn(&Heard) -> Reply + Send + Sync + 'static) -> Self {
        let answer: Answers = Arc::new(answer);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let all = heard.clone();
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (answer, all) = (answer.clone(), all.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), connection, &answer, &all));
            }
        });
        Self { port, heard }
    }

    /// What it heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub fn options(&self) -> Options {
        super::bare(format!("http://127.0.0.1:{}", self.port))
    }

    pub fn target(&self) -> Target {
        Target::Http(self.options())
    }
}

fn serve(stream: &TcpStream, connection: usize, answer: &Answers, all: &Mutex<Vec<Heard>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for nth in 0.. {
        let head: Vec<_> =
            reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        if head.is_empty() {
            return;
        }
        let mut heard = Heard { connection, nth, head, body: Vec::new() };
        let length = heard.header("content-length").map_or(0, |length| length.parse().unwrap());
        heard.body.resize(length, 0);
        reader.read_exact(&mut heard.body).unwrap();
        all.lock().unwrap().push(heard.clone());
        let reply = answer(&heard);
        let mut writer = stream;
        if writer.write_all(reply.text.as_bytes()).is_err() || reply.is_last {
            return;
        }
    }
}
