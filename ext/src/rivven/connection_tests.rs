//! Answers that a healthy broker does not give.

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
