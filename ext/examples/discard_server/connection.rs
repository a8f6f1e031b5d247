//! Frames in, frames out.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rivven_protocol::{Request, Response, WireFormat, MAX_MESSAGE_SIZE, WIRE_HEADER_SIZE};

use crate::answer::{answer, publish};
use crate::batch::Batch;
use crate::state::State;

/// Batches at the start of a connection that are also decoded by the protocol's own crate.
const COMPARED: u32 = 16;

/// What is read at a time, at least.
const STEP: usize = 256 * 1024;

/// Answers one request after the other, until the client goes away.
pub fn serve(mut stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Input::default();
    let mut out = Vec::new();
    let mut compared = 0;
    while let Some(body) = input.frame(&mut stream)? {
        let (id, response) = if let Some(batch) = Batch::read(body).map_err(invalid)? {
            if compared < COMPARED {
                compared += 1;
                batch.compare(body).map_err(invalid)?;
            }
            (batch.id, publish(&batch, state))
        } else {
            let (request, _, id) = Request::from_wire(body).map_err(|error| invalid(error.to_string()))?;
            (id, answer(request, state))
        };
        write_frame(&mut out, id, &response)?;
        stream.write_all(&out)?;
    }
    Ok(())
}

fn write_frame(out: &mut Vec<u8>, id: u32, response: &Response) -> io::Result<()> {
    let body = response.to_wire(WireFormat::Postcard, id).map_err(|error| invalid(error.to_string()))?;
    out.clear();
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(&body);
    Ok(())
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Bytes that were read and not used yet.
#[derive(Default)]
struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// The body of the next request; None at the end of the connection.
    fn frame(&mut self, stream: &mut impl Read) -> io::Result<Option<&[u8]>> {
        if !self.fill(stream, 4)? {
            return Ok(None);
        }
        let mut length = [0; 4];
        length.copy_from_slice(&self.buffer[self.start..self.start + 4]);
        let length = u32::from_be_bytes(length) as usize;
        if !(WIRE_HEADER_SIZE..=MAX_MESSAGE_SIZE).contains(&length) {
            return Err(invalid(format!("a request of {length} bytes")));
        }
        if !self.fill(stream, 4 + length)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let body = self.start + 4;
        self.start = body + length;
        Ok(Some(&self.buffer[body..body + length]))
    }

    /// Reads until there are `wanted` bytes; false if the stream ends before the first.
    fn fill(&mut self, stream: &mut impl Read, wanted: usize) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.len() < self.start + wanted.max(STEP) {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.buffer.resize(self.buffer.len().max(wanted).max(STEP), 0);
        }
        while self.end - self.start < wanted {
            match stream.read(&mut self.buffer[self.end..])? {
                0 if self.start == self.end => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.end += count,
            }
        }
        Ok(true)
    }
}
