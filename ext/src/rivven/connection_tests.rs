//! Answers that a healthy broker does not give.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::*;
use crate::rivven::client::{Client, Repeat};
use crate::rivven::mock::{broker, error, link, Reply};

fn open(reply: impl FnMut(Request) -> Reply + Send + 'static) -> Connection {
    let options = ConnectOptions { request_timeout: Duration::from_millis(200), ..ConnectOptions::default() };
    Connection::open(&broker(reply), &options, None).unwrap()
}

fn ping(reply: impl FnMut(Request) -> Reply + Send + 'static) -> (Result<Response>, Connection) {
    let mut connection = open(reply);
    (connection.call(&Request::Ping), connection)
}

#[test]
fn id_zero_with_an_error_answers_the_request_at_hand() {
    let refusal = Response::Error { message: "INVALID_REQUEST: odd".into() };
    let (result, connection) = ping(move |_| Reply::WithId(0, refusal.clone()));
    assert_eq!(result.unwrap_err().kind, Kind::InvalidRequest);
    assert!(connection.usable());
}

#[test]
fn any_other_id_is_refused() {
    for id in [0, 77] {
        let (result, connection) = ping(move |_| Reply::WithId(id, Response::Pong));
        assert_eq!(result.unwrap_err().kind, Kind::Protocol);
        assert!(!connection.usable());
    }
}

#[test]
fn silence_is_a_timeout_and_ends_the_connection() {
    let (result, connection) = ping(|_| Reply::Silence);
    assert_eq!(result.unwrap_err().kind, Kind::Timeout);
    assert!(!connection.usable());
}

#[test]
fn a_long_poll_may_take_longer_than_the_timeout() {
    let mut connection = open(|_| {
        std::thread::sleep(Duration::from_millis(300));
        Reply::Answer(Response::Pong)
    });
    let mut frame = wire::request_frame(&Request::Ping).unwrap();
    assert!(connection.call_frame(&mut frame, Duration::from_millis(300)).is_ok());
}

#[test]
fn an_end_before_the_first_answer_names_its_likely_cause() {
    let (result, connection) = ping(|_| Reply::Hang);
    let error = result.unwrap_err();
    assert_eq!(error.kind, Kind::Connect);
    assert!(error.message.contains("too many connections"), "{error}");
    assert!(error.message.contains(connection.address()));
}

#[test]
fn lengths_are_not_believed() {
    for (bytes, kind) in [
        ((wire::MAX_BODY as u32 + 1).to_be_bytes(), Kind::Protocol),
        (u32::MAX.to_be_bytes(), Kind::Protocol),
        ((wire::MAX_BODY as u32).to_be_bytes(), Kind::Connect),
        (3u32.to_be_bytes(), Kind::Connect),
        (0u32.to_be_bytes(), Kind::Protocol),
    ] {
        let (result, connection) = ping(move |_| Reply::Raw(bytes.to_vec()));
        assert_eq!(result.unwrap_err().kind, kind, "{bytes:?}");
        assert!(!connection.usable());
    }
}

#[test]
fn a_server_with_tls_is_recognised() {
    // A fatal alert: what came was no record of TLS.
    let (result, _) = ping(|_| Reply::Raw(vec![21, 3, 3, 0, 2, 2, 22]));
    let error = result.unwrap_err();
    assert_eq!(error.kind, Kind::Protocol);
    assert!(error.message.ends_with("the server speaks TLS: expected broker.tls.enabled to be true"));
}

#[test]
fn the_handshake_may_be_refused() {
    let address = broker(|request| match request {
        Request::Handshake { .. } => error("AUTHENTICATION_REQUIRED: no"),
        _ => Reply::Answer(Response::Pong),
    });
    let options = ConnectOptions { client_id: Some("me".into()), ..ConnectOptions::default() };
    let mut connection = Connection::open(&address, &options, None).unwrap();
    assert!(connection.call(&Request::Ping).is_ok());
}

#[test]
fn after_the_rate_limit_the_connection_is_replaced() {
    let (result, connection) = ping(|_| error("RATE_LIMIT_EXCEEDED: slow down"));
    assert_eq!(result.unwrap_err().kind, Kind::Throttled);
    assert!(!connection.usable());
}

#[test]
fn a_client_waits_out_throttling_and_repeats_what_it_may() {
    let throttled =
        || Response::Throttled { throttle_time_ms: 20, quota_type: "p".into(), entity: "e".into() };
    let mut answers = vec![Reply::Answer(Response::Pong), error("BUFFER_FULL"), Reply::Hang];
    answers.push(Reply::Answer(throttled()));
    let client = Client::new(link(&broker(move |_| answers.pop().unwrap_or(Reply::Hang)), 2));
    assert!(client.ping().is_ok());
    // Nothing but ends from here on.
    assert_eq!(client.request(&Request::Ping, Repeat::Unsafe).unwrap_err().kind, Kind::Connect);
    let error = client.ping().unwrap_err();
    assert!(error.message.ends_with("(after 2 retries)"), "{error}");
    client.close();
    assert!(client.ping().unwrap_err().message.contains("closed"));
}

/// A server with the user of RFC 7677, which challenges with as few rounds as are allowed, and what it was asked.
struct Users {
    expires_in: u64,
    nonce: String,
    logins: Arc<AtomicUsize>,
}

impl Users {
    fn answer(&mut self, request: &Request) -> Option<Reply> {
        let message = match request {
            Request::ScramClientFirst { message } => {
                let text = std::str::from_utf8(message).unwrap();
                self.nonce = text.strip_prefix("n,,n=user,r=").unwrap().to_owned();
                let message = format!("r={}theirs,s=c2FsdA==,i=4096", self.nonce);
                return Some(Reply::Answer(Response::ScramServerFirst { message: message.into() }));
            }
            Request::ScramClientFinal { message } => std::str::from_utf8(message).unwrap(),
            _ => return None,
        };
        let nonce = &self.nonce;
        let proof = message.strip_prefix(&format!("c=biws,r={nonce}theirs,p=")).unwrap();
        let signed = format!("n=user,r={nonce},r={nonce}theirs,s=c2FsdA==,i=4096,c=biws,r={nonce}theirs");
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(b"pencil", b"salt", 4096, &mut salted);
        let client = hmac(&salted, "Client Key");
        let mask = hmac(&Sha256::digest(&client), &signed);
        let expected: Vec<u8> = client.iter().zip(mask).map(|(key, byte)| key ^ byte).collect();
        let server = hmac(&salted, "Server Key");
        let accepted = proof == STANDARD.encode(expected);
        self.logins.fetch_add(usize::from(accepted), Ordering::Relaxed);
        let message = if accepted {
            format!("v={}", STANDARD.encode(hmac(&server, &signed)))
        } else {
            "e=Authentication failed".to_owned()
        };
        Some(Reply::Answer(Response::ScramServerFinal {
            message: message.into(),
            session_id: accepted.then(|| "id".to_owned()),
            expires_in: accepted.then_some(self.expires_in),
        }))
    }
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    hmac.update(message.as_bytes());
    hmac.finalize().into_bytes().to_vec()
}

/// A connection of that user to a server that answers other requests as `reply` says, and the number of logins.
fn logged_in(
    password: &str,
    expires_in: u64,
    mut reply: impl FnMut(Request) -> Reply + Send + 'static,
) -> (Result<Connection>, Arc<AtomicUsize>) {
    let logins = Arc::new(AtomicUsize::new(0));
    let mut users = Users { expires_in, nonce: String::new(), logins: Arc::clone(&logins) };
    let address = broker(move |request| match users.answer(&request) {
        Some(answer) => answer,
        None => reply(request),
    });
    let login = Arc::new(Login::new("user".into(), password.into()));
    let options = ConnectOptions { login: Some(login), ..ConnectOptions::default() };
    (Connection::open(&address, &options, None), logins)
}

#[test]
fn a_connection_logs_in_once() {
    let (connection, logins) = logged_in("pencil", 3600, |_| Reply::Answer(Response::Pong));
    let mut connection = connection.unwrap();
    for _ in 0..3 {
        connection.call(&Request::Ping).unwrap();
    }
    assert_eq!(logins.load(Ordering::Relaxed), 1);
}

#[test]
fn a_wrong_password_is_final() {
    let (connection, _) = logged_in("pen", 3600, |_| Reply::Answer(Response::Pong));
    let error = connection.unwrap_err();
    assert_eq!(error.kind, Kind::Authentication);
    assert!(!error.kind.retriable());
    assert!(error
        .message
        .ends_with("the login of 'user' failed: the server refuses it: Authentication failed"));
}

#[test]
fn a_session_is_renewed_before_it_ends() {
    let (connection, logins) = logged_in("pencil", 1, |_| Reply::Answer(Response::Pong));
    let mut connection = connection.unwrap();
    connection.call(&Request::Ping).unwrap();
    assert_eq!(logins.load(Ordering::Relaxed), 1);
    std::thread::sleep(Duration::from_millis(900));
    connection.call(&Request::Ping).unwrap();
    assert_eq!(logins.load(Ordering::Relaxed), 2);
}

#[test]
fn a_session_that_has_ended_costs_no_request() {
    for ended in ["SESSION_EXPIRED: x", "INVALID_SESSION: x", "AUTHENTICATION_REQUIRED: x"] {
        let mut answers = vec![Reply::Answer(Response::Pong), error(ended)];
        let (connection, logins) = logged_in("pencil", 3600, move |_| answers.pop().unwrap());
        assert!(matches!(connection.unwrap().call(&Request::Ping).unwrap(), Response::Pong));
        assert_eq!(logins.load(Ordering::Relaxed), 2, "{ended}");
    }
    // One that ends again and again is reported.
    let (connection, logins) = logged_in("pencil", 3600, |_| error("SESSION_EXPIRED: x"));
    assert_eq!(connection.unwrap().call(&Request::Ping).unwrap_err().kind, Kind::Authentication);
    assert_eq!(logins.load(Ordering::Relaxed), 2);
}

#[test]
fn other_errors_are_nobodys_login() {
    let (connection, logins) = logged_in("pencil", 3600, |_| error("AUTHORIZATION_FAILED: no"));
    assert_eq!(connection.unwrap().call(&Request::Ping).unwrap_err().kind, Kind::Authorization);
    assert_eq!(logins.load(Ordering::Relaxed), 1);
}
