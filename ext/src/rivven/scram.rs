//! Logging in with SCRAM-SHA-256 (RFC 5802, RFC 7677): both sides prove that they know the password, and neither
//! sends it.
//!
//! Names and passwords go in as they are: rivvend 0.0.22 does not normalise them (`rivven-core/src/auth.rs`), so
//! neither must we.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{shown, Error, Kind, Result};

/// Rounds that a server may ask for. Fewer make the password easy to guess for whoever listens (RFC 7677 asks
/// for as many), more keep the processor busy: rivvend has 600,000, which take about 0.3 s.
const ROUNDS: std::ops::RangeInclusive<u32> = 4096..=1_000_000;

/// Rounds between two looks at whether the login is still wanted: about 2 ms.
const ROUNDS_AT_A_TIME: u32 = 4096;

/// How often those who wait for another's keys look at whether their own login is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// Keys that are kept: each server of a cluster may have a salt of its own.
const KEPT: usize = 8;

/// Longest message of a server; those of rivvend have about 150 bytes.
const LONGEST_MESSAGE: usize = 4096;

/// Random bytes of a nonce.
const NONCE_BYTES: usize = 24;

/// "No channel binding", in base64.
const HEADER: &str = "n,,";
const HEADER_BASE64: &str = "biws";

type Key = Zeroizing<[u8; 32]>;

/// A user with the password. Shared by all connections of a client, for which the keys are worked out once.
pub struct Login {
    username: String,
    password: Zeroizing<String>,
    known: Mutex<Known>,
    /// Told when keys are there, or will not be.
    done: Condvar,
}

/// What connections know from each other.
#[derive(Default)]
struct Known {
    /// The newest last.
    keys: Vec<Keys>,
    /// Salts and rounds whose keys a connection is working out.
    busy: Vec<(Vec<u8>, u32)>,
}

/// What a password becomes under a salt.
#[derive(Clone)]
struct Keys {
    salt: Vec<u8>,
    rounds: u32,
    client: Key,
    server: Key,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Login {
    /// Not tried yet.
    pub fn new(username: String, password: String) -> Self {
        Self { username, password: Zeroizing::new(password), known: Mutex::default(), done: Condvar::new() }
    }

    /// Whose it is.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Begins a login.
    pub fn begin(&self) -> Result<Attempt<'_>> {
        let mut random = [0; NONCE_BYTES];
        getrandom::fill(&mut random)
            .map_err(|error| Error::new(Kind::Authentication, format!("no random numbers: {error}")))?;
        Ok(self.begin_with(STANDARD.encode(random)))
    }

    /// Begins a login with a nonce that is not random.
    pub(crate) fn begin_with(&self, nonce: String) -> Attempt<'_> {
        let name = self.username.replace('=', "=3D").replace(',', "=2C");
        Attempt { login: self, bare: format!("n={name},r={nonce}"), nonce }
    }

    /// The keys under `salt`; None once `stopped` says so.
    ///
    /// Connections that are asked for the same wait for the first of them. Those of a server that asks each for
    /// something else do not wait for each other.
    fn keys(&self, salt: &[u8], rounds: u32, stopped: &dyn Fn() -> bool) -> Option<Keys> {
        let mut known = self.lock();
        loop {
            if let Some(keys) = known.keys.iter().find(|keys| keys.salt == salt && keys.rounds == rounds) {
                return Some(keys.clone());
            }
            if !known.busy.iter().any(|busy| busy.0 == salt && busy.1 == rounds) {
                break;
            }
            if stopped() {
                return None;
            }
            known = self.done.wait_timeout(known, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        known.busy.push((salt.to_vec(), rounds));
        drop(known);
        let keys = Keys::work_out(self.password.as_bytes(), salt, rounds, stopped);
        let mut known = self.lock();
        known.busy.retain(|busy| busy.0 != salt || busy.1 != rounds);
        if let Some(keys) = &keys {
            if known.keys.len() >= KEPT {
                known.keys.remove(0);
            }
            known.keys.push(keys.clone());
        }
        self.done.notify_all();
        keys
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    /// None once `stopped` says so.
    fn work_out(password: &[u8], salt: &[u8], rounds: u32, stopped: &dyn Fn() -> bool) -> Option<Self> {
        let salted = salted(password, salt, rounds, stopped)?;
        Some(Self {
            salt: salt.to_vec(),
            rounds,
            client: Zeroizing::new(hmac(&*salted, b"Client Key").finalize().into_bytes().into()),
            server: Zeroizing::new(hmac(&*salted, b"Server Key").finalize().into_bytes().into()),
        })
    }
}

/// The first block of PBKDF2 with HMAC-SHA-256 (RFC 8018), which is all that SCRAM wants of it ("Hi" in RFC 5802).
///
/// Not the crate's: that cannot be stopped, and takes as long as a server likes.
fn salted(password: &[u8], salt: &[u8], rounds: u32, stopped: &dyn Fn() -> bool) -> Option<Key> {
    let keyed = hmac(password, b"");
    let mut round: [u8; 32] =
        keyed.clone().chain_update(salt).chain_update([0, 0, 0, 1]).finalize().into_bytes().into();
    let mut sum = Zeroizing::new(round);
    for number in 1..rounds {
        if number % ROUNDS_AT_A_TIME == 0 && stopped() {
            return None;
        }
        round = keyed.clone().chain_update(round).finalize().into_bytes().into();
        for (to, byte) in sum.iter_mut().zip(round) {
            *to ^= byte;
        }
    }
    Some(sum)
}

/// A login that waits for the server's challenge.
pub struct Attempt<'a> {
    login: &'a Login,
    nonce: String,
    bare: String,
}

impl Attempt<'_> {
    /// The first message of the client.
    pub fn message(&self) -> Bytes {
        Bytes::from(format!("{HEADER}{}", self.bare))
    }

    /// The final message of the client, in answer to the first of the server. The keys may take a while to work out:
    /// fails once `stopped` says that nobody wants them any more.
    pub fn answer(&self, challenge: &[u8], stopped: &dyn Fn() -> bool) -> Result<Proof> {
        let text = readable(challenge)?;
        let Challenge { nonce, salt, rounds } = Challenge::read(text, &self.nonce)?;
        let Some(keys) = self.login.keys(&salt, rounds, stopped) else {
            return Err(Error::new(Kind::Connect, "the client is closed"));
        };
        let without_proof = format!("c={HEADER_BASE64},r={nonce}");
        let signed = format!("{},{text},{without_proof}", self.bare);
        let stored = Sha256::digest(*keys.client);
        let signature = hmac(&stored, signed.as_bytes()).finalize().into_bytes();
        let mut proof = [0; 32];
        for (to, (key, byte)) in proof.iter_mut().zip(keys.client.iter().zip(signature)) {
            *to = key ^ byte;
        }
        Ok(Proof {
            message: Bytes::from(format!("{without_proof},p={}", STANDARD.encode(proof))),
            expected: hmac(&*keys.server, signed.as_bytes()),
        })
    }
}

/// A login that waits for the server's verdict.
pub struct Proof {
    /// The final message of the client.
    pub message: Bytes,
    expected: Hmac<Sha256>,
}

impl Proof {
    /// Whether the server accepts us, and has proved that it knows the password too.
    pub fn verdict(self, message: &[u8]) -> Result<()> {
        let text = readable(message)?;
        if let Some(reason) = text.strip_prefix("e=") {
            return Err(refused(format!("the server refuses it: {}", shown(reason))));
        }
        let signature = text.strip_prefix("v=").and_then(|rest| rest.split(',').next());
        let Some(signature) = signature.and_then(|signature| STANDARD.decode(signature).ok()) else {
            return Err(refused("the server's last message is neither a signature nor a refusal"));
        };
        self.expected.verify_slice(&signature).map_err(|_| {
            refused("the server accepts it without knowing the password: it is not the one it claims to be")
        })
    }
}

/// What a server asks of a client.
#[derive(Debug, PartialEq, Eq)]
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    rounds: u32,
}

impl<'a> Challenge<'a> {
    /// Reads `r=nonce,s=salt,i=rounds`; what follows is for extensions, which have no meaning yet.
    fn read(text: &'a str, ours: &str) -> Result<Self> {
        let mut parts = text.split(',');
        let mut part = |name: &str| parts.next().and_then(|part| part.strip_prefix(name));
        let (Some(nonce), Some(salt), Some(rounds)) = (part("r="), part("s="), part("i=")) else {
            return Err(refused("the server's challenge is not one of SCRAM"));
        };
        if nonce.len() <= ours.len() || !nonce.starts_with(ours) {
            return Err(refused("the server's challenge is not for this login"));
        }
        let Some(salt) = STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty()) else {
            return Err(refused("the server's challenge has no salt"));
        };
        match rounds.parse() {
            Ok(rounds) if ROUNDS.contains(&rounds) => Ok(Self { nonce, salt, rounds }),
            _ => {
                let (least, most) = (ROUNDS.start(), ROUNDS.end());
                let rounds = shown(rounds);
                Err(refused(format!("the server asks for {rounds} iterations: expected {least} to {most}")))
            }
        }
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    // Any length of key will do for HMAC, so this cannot fail.
    #[allow(clippy::expect_used)]
    let mut hmac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("a key of any length");
    hmac.update(message);
    hmac
}

fn readable(message: &[u8]) -> Result<&str> {
    if message.len() > LONGEST_MESSAGE {
        return Err(refused("the server's message is too long"));
    }
    std::str::from_utf8(message).map_err(|_| refused("the server's message is not text"))
}

fn refused(text: impl Into<String>) -> Error {
    Error::new(Kind::Authentication, text)
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
