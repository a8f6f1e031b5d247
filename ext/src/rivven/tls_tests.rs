//! Servers with TLS that do what they should not, or nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rivven_protocol::{MessageData, Request, Response};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::rivven::connection::{ConnectOptions, Connection};
use crate::rivven::mock::{serve, Reply};
use crate::rivven::stop::Stop;
use crate::rivven::wire;

/// The path of a file beside this one.
fn file(name: &str) -> String {
    format!("{}/src/rivven/testdata/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn options() -> ConnectOptions {
    let tls = Tls::new(&TlsOptions { ca_path: Some(file("ca.pem")), ..TlsOptions::default() }).unwrap();
    ConnectOptions {
        connect_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_millis(500),
        tls: Some(Arc::new(tls)),
        ..ConnectOptions::default()
    }
}

fn server_config() -> Arc<ServerConfig> {
    static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    let make = || {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                certificates("", &file("server.pem")).unwrap(),
                private_key(&file("server.pem")).unwrap(),
            );
        Arc::new(config.unwrap())
    };
    Arc::clone(CONFIG.get_or_init(make))
}

/// Hands each connection to `serve` in a thread; returns the address.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

type ServerStream = StreamOwned<ServerConnection, TcpStream>;

fn secure(socket: TcpStream) -> ServerStream {
    StreamOwned::new(ServerConnection::new(server_config()).unwrap(), socket)
}

/// A broker with TLS.
fn broker(reply: impl FnMut(Request) -> Reply + Send + 'static) -> String {
    let reply = Mutex::new(reply);
    listen(move |socket| serve(secure(socket), &reply))
}

/// Reads a request and returns the frame of the answer.
fn pong(stream: &mut ServerStream) -> Vec<u8> {
    let mut frame = [0; 10];
    stream.read_exact(&mut frame).unwrap();
    let body = Response::Pong.to_wire(rivven_protocol::WireFormat::Postcard, 1).unwrap();
    let mut answer = (body.len() as u32).to_be_bytes().to_vec();
    answer.extend(body);
    answer
}

#[test]
fn large_requests_and_answers_fit_through() {
    let address = broker(|request| match request {
        Request::Publish { value, .. } => {
            Reply::Answer(Response::Messages { messages: vec![MessageData::new(0, value, 0)] })
        }
        _ => Reply::Hang,
    });
    let mut connection = Connection::open(&address, &options(), None).unwrap();
    for size in [1, 16_384, 3_000_000] {
        let value = Bytes::from(vec![size as u8; size]);
        let request = Request::Publish {
            topic: "t".into(),
            partition: None,
            key: None,
            value: value.clone(),
            leader_epoch: None,
        };
        let mut frame = wire::request_frame(&request).unwrap();
        let body = connection.call_frame(&mut frame, Duration::from_secs(10)).unwrap();
        let Response::Messages { messages } = wire::decode_response(&body).unwrap() else { panic!() };
        assert_eq!(messages[0].value, value);
    }
}

#[test]
fn a_server_that_says_nothing_costs_the_connect_timeout() {
    let address = listen(|socket| {
        thread::sleep(Duration::from_secs(5));
        drop(socket);
    });
    let start = Instant::now();
    let error = Connection::open(&address, &options(), None).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(error.kind, Kind::Connect);
    assert!(error.message.contains("connection_timeout_ms") && error.message.contains(&address), "{error}");
}

#[test]
fn a_server_that_sends_byte_by_byte_costs_no_more() {
    let address = listen(|mut socket| {
        let _ = socket.read(&mut [0; 4096]);
        // A record of 16 KiB, of which a byte comes now and then.
        let mut bytes = vec![22, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc].into_iter().chain(std::iter::repeat(0));
        while socket.write_all(&[bytes.next().unwrap()]).is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let start = Instant::now();
    assert_eq!(Connection::open(&address, &options(), None).unwrap_err().kind, Kind::Connect);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_stop_ends_a_handshake() {
    let address = listen(|socket| {
        thread::sleep(Duration::from_secs(20));
        drop(socket);
    });
    let stop = Arc::new(Stop::new());
    let stopper = Arc::clone(&stop);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        stopper.stop();
    });
    let options = ConnectOptions { connect_timeout: Duration::from_secs(20), ..options() };
    let start = Instant::now();
    assert!(Connection::open(&address, &options, Some(&stop)).is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_answer_that_trickles_in_ends_with_the_request_timeout() {
    let address = listen(|socket| {
        let mut stream = secure(socket);
        pong(&mut stream);
        // Empty records: they keep the socket busy and bring nothing.
        loop {
            stream.conn.refresh_traffic_keys().unwrap();
            if stream.flush().is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    let mut connection = Connection::open(&address, &options(), None).unwrap();
    let start = Instant::now();
    assert_eq!(connection.call(&Request::Ping).unwrap_err().kind, Kind::Timeout);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn keys_may_change_at_any_time() {
    let address = listen(|socket| {
        let mut stream = secure(socket);
        let answer = pong(&mut stream);
        for part in answer.chunks(3) {
            stream.conn.refresh_traffic_keys().unwrap();
            stream.write_all(part).unwrap();
            stream.flush().unwrap();
        }
        thread::sleep(Duration::from_secs(1));
    });
    let mut connection = Connection::open(&address, &options(), None).unwrap();
    assert!(matches!(connection.call(&Request::Ping).unwrap(), Response::Pong));
}

#[test]
fn an_end_is_an_end_with_or_without_a_farewell() {
    for farewell in [true, false] {
        for sent in [0, 5] {
            let address = listen(move |socket| {
                let mut stream = secure(socket);
                let answer = pong(&mut stream);
                stream.write_all(&answer[..sent]).unwrap();
                if farewell {
                    stream.conn.send_close_notify();
                }
                stream.flush().unwrap();
                stream.sock.shutdown(Shutdown::Both).unwrap();
            });
            let mut connection = Connection::open(&address, &options(), None).unwrap();
            let error = connection.call(&Request::Ping).unwrap_err();
            assert_eq!(error.kind, Kind::Connect, "{farewell} {sent}");
            assert!(error.message.contains("closed after the TLS handshake"), "{error}");
            assert!(!connection.usable());
        }
    }
}

#[test]
fn a_connection_says_farewell() {
    let (told, ends) = std::sync::mpsc::channel();
    let address = listen(move |socket| {
        let mut stream = secure(socket);
        let answer = pong(&mut stream);
        stream.write_all(&answer).unwrap();
        told.send(stream.read(&mut [0; 1]).map_err(|error| error.kind())).unwrap();
    });
    let mut connection = Connection::open(&address, &options(), None).unwrap();
    connection.call(&Request::Ping).unwrap();
    drop(connection);
    assert_eq!(ends.recv_timeout(Duration::from_secs(5)).unwrap(), Ok(0));
}

#[test]
fn hosts_are_taken_out_of_addresses() {
    for (address, host) in [
        ("rivven.test:9092", "rivven.test"),
        ("rivven.test.:9092", "rivven.test"),
        ("127.0.0.1:9092", "127.0.0.1"),
        ("[::1]:9092", "::1"),
    ] {
        assert_eq!(host_name(address).unwrap().to_str(), host);
    }
    assert_eq!(host_name("a b:9092").unwrap_err().kind, Kind::Config);
}

#[test]
fn files_are_refused_by_name() {
    let ca = || Some(file("ca.pem"));
    let server = || Some(file("server.pem"));
    let missing = || Some("/nowhere".to_owned());
    let options = TlsOptions::default();
    for (options, expected) in [
        (
            TlsOptions { ca_path: missing(), ..options.clone() },
            "broker.tls.ca_path: got '/nowhere': No such file",
        ),
        (TlsOptions { ca_path: Some(file("../tls.rs")), ..options.clone() }, "it holds no certificate"),
        (TlsOptions { cert_path: server(), ..options.clone() }, "broker.tls.key_path: missing"),
        (TlsOptions { key_path: server(), ..options.clone() }, "broker.tls.cert_path: missing"),
        (TlsOptions { cert_path: server(), key_path: ca(), ..options.clone() }, "key_path: got"),
        (
            TlsOptions { cert_path: server(), key_path: missing(), ..options.clone() },
            "key_path: got '/nowhere': No",
        ),
        (
            TlsOptions { cert_path: ca(), key_path: server(), ..options.clone() },
            "not the key of the certificate",
        ),
        (
            TlsOptions { server_name: Some("a b".into()), ..options.clone() },
            "broker.tls.server_name: got 'a b'",
        ),
    ] {
        let insecure = options.ca_path.is_none();
        let error = Tls::new(&TlsOptions { insecure, ..options }).unwrap_err();
        // A file that cannot be used may be one that is being written.
        let of_file = error.message.contains("expected a PEM file");
        assert_eq!(error.kind, if of_file { Kind::UnusableFile } else { Kind::Config });
        assert!(error.message.contains(expected), "{error}");
    }
}
