//! A broker of a few lines for tests: answers what a closure says, on as many connections as come.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rivven_protocol::{Request, Response, WireFormat};

use super::connection::ConnectOptions;
use super::link::LinkConfig;
use super::retry::{Backoff, Servers};

/// What to do with a request.
pub enum Reply {
    Answer(Response),
    /// Answer under another correlation id.
    WithId(u32, Response),
    /// These bytes instead of a frame, then the end of the connection.
    Raw(Vec<u8>),
    /// End the connection.
    Hang,
    /// Keep it open, say nothing.
    Silence,
}

/// Starts a broker that lives as long as the test process; returns its address.
pub fn broker(reply: impl FnMut(Request) -> Reply + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let reply = Arc::new(Mutex::new(reply));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let reply = Arc::clone(&reply);
            thread::spawn(move || serve(stream.unwrap(), &*reply));
        }
    });
    address
}

/// Answers requests until the end of the connection.
pub fn serve(mut stream: impl Read + Write, reply: &Mutex<impl FnMut(Request) -> Reply>) {
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut body).unwrap();
        let (request, _, id) = Request::from_wire(&body).unwrap();
        let (id, response) = match (reply.lock().unwrap())(request) {
            Reply::Answer(response) => (id, response),
            Reply::WithId(id, response) => (id, response),
            Reply::Raw(bytes) => {
                stream.write_all(&bytes).unwrap();
                return;
            }
            Reply::Hang => return,
            Reply::Silence => continue,
        };
        let body = response.to_wire(WireFormat::Postcard, id).unwrap();
        stream.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
        stream.write_all(&body).unwrap();
    }
}

/// A link to `address` with quick retries.
pub fn link(address: &str, max_retries: u32) -> LinkConfig {
    LinkConfig {
        servers: Arc::new(Servers::new(vec![address.to_owned()]).unwrap()),
        options: ConnectOptions { request_timeout: Duration::from_millis(300), ..ConnectOptions::default() },
        backoff: Backoff { initial_ms: 1, max_ms: 5, multiplier: 2.0, max_retries },
    }
}

/// `Response::Error`.
pub fn error(message: &str) -> Reply {
    Reply::Answer(Response::Error { message: message.to_owned() })
}
