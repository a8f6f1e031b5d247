//! A Rivven server that takes everything and keeps nothing, to measure what stands before it.
//!
//! It speaks the protocol of rivvend 0.0.22 as far as a source needs it, checks every request it is sent, counts
//! offsets and sequences, and throws the records away: its logs begin where they end, as after retention. No disk, no
//! pause per record, `TCP_NODELAY`; one thread per connection.
//!
//! `discard_server [ADDRESS]` prints the address it listens on, and runs until it is killed.

mod answer;
mod batch;
mod connection;
mod state;

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address)?;
    let mut out = io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()?;
    let state = Arc::new(state::State::default());
    for stream in listener.incoming() {
        let (stream, state) = (stream?, Arc::clone(&state));
        thread::spawn(move || {
            // A client that goes away ends its connection, and nothing else.
            if let Err(error) = connection::serve(stream, &state) {
                eprintln!("connection ended: {error}");
            }
        });
    }
    Ok(())
}
