//! The bytes of a connection, in plain text or inside TLS.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustls::ClientConnection;

/// What a connection reads from and writes to.
#[derive(Debug)]
pub enum Stream {
    /// TCP as it is.
    Plain(TcpStream),
    /// TCP with TLS inside.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// The socket, for its options.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.socket,
        }
    }

    /// Reads what there is, waiting for the first of it as long as the socket's read timeout says.
    ///
    /// `Interrupted` also means that something came which was not for the reader, as with TLS at any time (a session
    /// ticket, a part of a record): the time left may be less by now. An end without the farewell of TLS is
    /// `UnexpectedEof`.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    /// Writes everything.
    #[inline]
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes),
        }
    }

    /// Says farewell, where that is usual.
    pub fn finish(&mut self) {
        if let Self::Tls(stream) = self {
            stream.session.send_close_notify();
            // The other side sees the end of the connection in any case.
            let _ = stream.flush();
        }
    }
}

/// What a read from the socket brought.
struct Came {
    /// The socket has come to its end.
    end: bool,
    /// Bytes for the reader.
    plaintext: usize,
}

/// A TLS session on its socket.
///
/// Not rustls's own `StreamOwned`: that reads from the socket as often as it takes, each time for the whole read
/// timeout.
#[derive(Debug)]
pub struct TlsStream {
    session: ClientConnection,
    socket: TcpStream,
}

impl TlsStream {
    /// Nothing said yet.
    pub fn new(session: ClientConnection, socket: TcpStream) -> Self {
        Self { session, socket }
    }

    /// Completes the handshake. Leaves some read timeout in the socket.
    pub fn shake_hands(&mut self, deadline: Instant) -> Result<()> {
        loop {
            self.flush()?;
            if !self.session.is_handshaking() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(ErrorKind::TimedOut, "no answer within connection_timeout_ms"));
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.receive() {
                Ok(came) if came.end => {
                    let text = "the server closed the connection";
                    return Err(Error::new(ErrorKind::UnexpectedEof, text));
                }
                // A time that is over is found at the next turn.
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            let came = self.receive()?;
            // What we have to say to it, such as a new key.
            self.flush()?;
            if !came.end && came.plaintext == 0 {
                return Err(ErrorKind::Interrupted.into());
            }
        }
    }

    /// Takes in what the socket has.
    fn receive(&mut self) -> Result<Came> {
        let end = self.session.read_tls(&mut self.socket)? == 0;
        match self.session.process_new_packets() {
            Ok(state) => Ok(Came { end, plaintext: state.plaintext_bytes_to_read() }),
            Err(error) => {
                // There is an alert to send; what is wrong matters more than whether that arrives.
                let _ = self.flush();
                Err(Error::new(ErrorKind::InvalidData, error))
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            // As much as the session buffers, which is bounded.
            let taken = self.session.writer().write(left)?;
            if taken == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            left = &left[taken..];
            self.flush().map_err(|error| self.last_words(error))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// With TLS 1.3 a server refuses a certificate after the handshake, when we may be writing already; then its
    /// reason is what waits to be read.
    fn last_words(&mut self, error: Error) -> Error {
        if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) {
            while !matches!(self.session.read_tls(&mut self.socket), Err(_) | Ok(0)) {
                if let Err(reason) = self.session.process_new_packets() {
                    return Error::new(ErrorKind::InvalidData, reason);
                }
            }
        }
        error
    }
}
