//! One connection to a broker, with one request in flight.
//!
//! rivvend writes each response in two pieces without `TCP_NODELAY`, so the second piece waits for the
//! acknowledgement of the first, which Linux delays by 40 ms unless `TCP_QUICKACK` is set; the kernel clears
//! that option on its own, so it is set again after every write and before every further read (46 ms -> 0.04 ms a
//! request).

mod login;

use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rivven_protocol::{Request, Response, PROTOCOL_VERSION};
use socket2::{SockRef, TcpKeepalive};

use super::scram::Login;
use super::stop::{Stop, Watch};
use super::stream::Stream;
use super::tls::Tls;
use super::{error_map, wire};
use crate::error::{Error, Kind, Result};

/// What is read at first: most answers in whole.
const FIRST_READ: usize = 256;

/// First step of reading a longer one: memory follows the bytes that came, not the length that was claimed.
const READ_STEP: usize = 64 * 1024;

/// How a server with TLS begins its answer to what is not TLS.
const TLS_ALERT: [u8; 2] = [21, 3];

/// How connections are made.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Limit for one connection attempt, the TLS handshake included.
    pub connect_timeout: Duration,
    /// Limit for one request, without the time that the request itself asks to wait.
    pub request_timeout: Duration,
    /// Name sent in the handshake; None leaves the handshake out, which rivvend allows.
    pub client_id: Option<String>,
    /// Makes TLS connections; None leaves them in plain text.
    pub tls: Option<Arc<Tls>>,
    /// Who logs in; None leaves the login out.
    pub login: Option<Arc<Login>>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            client_id: None,
            tls: None,
            login: None,
        }
    }
}

/// A connection. After an error of kind Connect, Timeout or Protocol it is no longer `usable`.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    address: String,
    tls: Option<Arc<Tls>>,
    login: Option<Arc<Login>>,
    /// When to log in again: before the broker ends the session.
    renew_at: Option<Instant>,
    request_timeout: Duration,
    last_id: u32,
    usable: bool,
    /// Whether anything was ever received: an end before that has a likely cause worth telling.
    answered: bool,
    last_used: Instant,
    /// What came behind the last answer.
    ahead: Vec<u8>,
    /// Read timeout of the socket.
    read_timeout: Duration,
    watch: Option<Watch>,
}

impl Connection {
    /// Connects to the first address of `address` (`host:port`) that answers, and logs in. With `stop`, a stop ends
    /// its waits.
    pub fn open(address: &str, options: &ConnectOptions, stop: Option<&Arc<Stop>>) -> Result<Self> {
        let (socket, deadline) = connect(address, options.connect_timeout)?;
        let failed = |error: std::io::Error| connect_error(address, &error.to_string());
        socket.set_nodelay(true).map_err(failed)?;
        socket.set_write_timeout(Some(options.request_timeout)).map_err(failed)?;
        let keepalive =
            TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10));
        SockRef::from(&socket).set_tcp_keepalive(&keepalive).map_err(failed)?;
        let watch = match stop {
            Some(stop) => Some(stop.watch(socket.try_clone().map_err(failed)?)),
            None => None,
        };
        let stream = match &options.tls {
            Some(tls) => tls.connect(address, socket, deadline)?,
            None => Stream::Plain(socket),
        };
        let mut connection = Self {
            stream,
            address: address.to_owned(),
            tls: options.tls.clone(),
            login: options.login.clone(),
            renew_at: None,
            request_timeout: options.request_timeout,
            last_id: 0,
            usable: true,
            answered: false,
            last_used: Instant::now(),
            ahead: Vec::new(),
            read_timeout: Duration::MAX,
            watch,
        };
        connection.quick_ack();
        if let Some(client_id) = &options.client_id {
            let client_id = client_id.clone();
            // Nothing depends on the answer: with authentication on, even a correct one is an error.
            connection.ask(&Request::Handshake { protocol_version: PROTOCOL_VERSION, client_id })?;
        }
        connection.log_in()?;
        Ok(connection)
    }

    /// The address it was opened with.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether more requests may be sent.
    pub fn usable(&self) -> bool {
        self.usable
    }

    /// Whether a stop has ended its waits.
    fn stopped(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::stopped)
    }

    /// Time since the last answer.
    pub fn idle(&self) -> Duration {
        self.last_used.elapsed()
    }

    /// Sends a request and returns the answer; `Response::Error` becomes an error, `Throttled` does not.
    pub fn call(&mut self, request: &Request) -> Result<Response> {
        let response = self.exchange(request)?;
        self.accept(response)
    }

    /// Sends a frame (its correlation id is set here) and returns the body of the answer, whatever it says.
    pub fn call_frame(&mut self, frame: &mut [u8], wait: Duration) -> Result<Bytes> {
        let result = self.in_session(frame, wait);
        if result.is_err() {
            // What arrives later on this connection would be taken for the answer to another request.
            self.usable = false;
        }
        result
    }

    /// Turns `Response::Error` into an error, and notes when the broker closes the connection after it.
    pub fn accept(&mut self, response: Response) -> Result<Response> {
        let Response::Error { message } = response else { return Ok(response) };
        let mut error = error_map::from_message(&message);
        self.usable &= !error_map::ends_connection(&error);
        if self.login.is_none() && error.code.as_deref() == Some(error_map::LOGIN_WANTED) {
            error.message.push_str(" (broker.auth is not given)");
        }
        Err(error)
    }

    fn exchange(&mut self, request: &Request) -> Result<Response> {
        let wait = match request {
            Request::Consume { max_wait_ms: Some(wait), .. } => Duration::from_millis(*wait),
            _ => Duration::ZERO,
        };
        let body = self.call_frame(&mut wire::request_frame(request)?, wait)?;
        wire::decode_response(&body)
    }

    /// One request outside of any session.
    fn ask(&mut self, request: &Request) -> Result<Response> {
        wire::decode_response(&self.round_trip(&mut wire::request_frame(request)?, Duration::ZERO)?)
    }

    fn round_trip(&mut self, frame: &mut [u8], wait: Duration) -> Result<Bytes> {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        wire::set_id(frame, self.last_id);
        let deadline = Instant::now() + self.request_timeout + wait;
        self.stream.write_all(frame).map_err(|error| self.io_error(&error))?;
        self.quick_ack();
        let body = self.read_frame(deadline)?;
        self.answered = true;
        self.last_used = Instant::now();
        match wire::response_id(&body)? {
            id if id == self.last_id => {}
            // rivvend could not read our id out of a request that it refuses (`framing.rs`).
            0 if matches!(wire::decode_response(&body)?, Response::Error { .. }) => {}
            id => {
                let text = format!("{}: answer {id} to request {}", self.address, self.last_id);
                return Err(Error::new(Kind::Protocol, text));
            }
        }
        Ok(body)
    }

    /// The body of the next frame.
    fn read_frame(&mut self, deadline: Instant) -> Result<Bytes> {
        let mut frame = std::mem::take(&mut self.ahead);
        self.fill(&mut frame, wire::LENGTH_SIZE, FIRST_READ, deadline)?;
        let length =
            frame.iter().take(wire::LENGTH_SIZE).fold(0, |length, byte| length << 8 | usize::from(*byte));
        if length > wire::MAX_BODY {
            let text = if frame.starts_with(&TLS_ALERT) {
                "the server speaks TLS: expected broker.tls.enabled to be true".to_owned()
            } else {
                format!("response of {length} bytes, above 10 MiB: not a Rivven broker?")
            };
            return Err(Error::new(Kind::Protocol, format!("{}: {text}", self.address)));
        }
        let end = wire::LENGTH_SIZE + length;
        while frame.len() < end {
            let reach = end.min((2 * frame.len()).max(READ_STEP));
            self.fill(&mut frame, reach, reach, deadline)?;
        }
        self.ahead = frame.split_off(end);
        Ok(Bytes::from(frame).slice(wire::LENGTH_SIZE..))
    }

    /// Reads until `frame` has `needed` bytes, and as many more as there are, up to `most`.
    fn fill(&mut self, frame: &mut Vec<u8>, needed: usize, most: usize, deadline: Instant) -> Result<()> {
        let mut have = frame.len();
        frame.resize(have.max(most), 0);
        while have < needed {
            if have > 0 {
                // The broker may hold the rest back until the beginning is acknowledged.
                self.quick_ack();
            }
            have += self.read(&mut frame[have..], deadline)?;
        }
        frame.truncate(have);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.timeout());
            }
            self.limit_reads(left)?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(self.end_of_stream()),
                Ok(count) => return Ok(count),
                // Of an answer in TLS a part may have come: the rest may wait for its acknowledgement.
                Err(error) if error.kind() == ErrorKind::Interrupted => self.quick_ack(),
                Err(error) => return Err(self.io_error(&error)),
            }
        }
    }

    /// Sets how long a read may take, unless that is about what is set already: it is a system call.
    fn limit_reads(&mut self, time: Duration) -> Result<()> {
        if self.read_timeout < time || self.read_timeout > time + time / 16 {
            self.stream.socket().set_read_timeout(Some(time)).map_err(|error| self.io_error(&error))?;
            self.read_timeout = time;
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn quick_ack(&self) {
        // Only speed depends on it.
        let _ = SockRef::from(self.stream.socket()).set_tcp_quickack(true);
    }

    #[cfg(not(target_os = "linux"))]
    fn quick_ack(&self) {}

    fn io_error(&self, error: &std::io::Error) -> Error {
        if let Some(error) = self.tls.as_ref().and_then(|tls| tls.failed(&self.address, error)) {
            return error;
        }
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => self.timeout(),
            ErrorKind::UnexpectedEof => self.end_of_stream(),
            ErrorKind::ConnectionReset if !self.answered => self.end_of_stream(),
            _ => connect_error(&self.address, &format!("connection lost: {error}")),
        }
    }

    fn timeout(&self) -> Error {
        Error::new(Kind::Timeout, format!("{}: no answer within the request timeout", self.address))
    }

    fn end_of_stream(&self) -> Error {
        connect_error(
            &self.address,
            if self.answered {
                "the broker closed the connection"
            } else if self.tls.is_some() {
                "the connection was closed after the TLS handshake, without an answer: the server does not accept \
                 the client certificate or its absence (broker.tls.cert_path), or what is behind it is away"
            } else {
                "the broker closed the connection without an answer: too many connections (rivvend allows \
                 100 per client address, --max-connections-per-ip), it expects TLS (broker.tls.enabled), or it is stopping"
            },
        )
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.usable {
            self.stream.finish();
        }
    }
}

/// A connection, and when the time for making it is over.
fn connect(address: &str, timeout: Duration) -> Result<(TcpStream, Instant)> {
    let resolved = address
        .to_socket_addrs()
        .map_err(|error| connect_error(address, &format!("cannot resolve: {error}")))?;
    let mut last = connect_error(address, "the name has no address");
    for target in resolved {
        let deadline = Instant::now() + timeout;
        match TcpStream::connect_timeout(&target, timeout) {
            Ok(stream) => return Ok((stream, deadline)),
            Err(error) => last = connect_error(address, &format!("cannot connect to {target}: {error}")),
        }
    }
    Err(last)
}

fn connect_error(address: &str, text: &str) -> Error {
    Error::new(Kind::Connect, format!("{address}: {text}"))
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
