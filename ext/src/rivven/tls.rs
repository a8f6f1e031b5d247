//! TLS towards Rivven: the client's side of it from the configured files, and why a handshake failed.
//!
//! The cryptography is handed over with each configuration (`builder_with_provider`): a provider for the whole
//! process, which rustls otherwise asks for, ends in a panic as soon as two are linked in.

use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{ring, CryptoProvider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct,
    InvalidMessage, RootCertStore, SignatureScheme,
};

use super::stream::{Stream, TlsStream};
use crate::error::{shown, Error, Kind, Result};

/// The options of `broker.tls`, except `enabled`.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// File with the CA certificates to trust; None: those of the system.
    pub ca_path: Option<String>,
    /// File with the client certificate and those that lead to its CA.
    pub cert_path: Option<String>,
    /// File with its private key.
    pub key_path: Option<String>,
    /// Name to ask for (SNI) and to expect; None: the host of the address.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// Makes TLS connections; shared by all connections of a client, which so resume each other's sessions.
pub struct Tls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    client_certificate: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    pub fn new(options: &TlsOptions) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(Kind::Config, format!("broker.tls: {error}")))?;
        let builder = if options.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            builder.with_root_certificates(roots(options.ca_path.as_deref())?)
        };
        let config = match (&options.cert_path, &options.key_path) {
            (Some(cert_path), Some(key_path)) => {
                let chain = certificates("cert_path", cert_path)?;
                let key = private_key(key_path)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => {
                        unusable("key_path", key_path, "it is not the key of the certificate in cert_path")
                    }
                    error => unusable("cert_path", cert_path, &error.to_string()),
                })?
            }
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) => return Err(missing("key_path", "cert_path")),
            (None, Some(_)) => return Err(missing("cert_path", "key_path")),
        };
        let server_name = options.server_name.as_ref().map(|name| {
            ServerName::try_from(name.clone()).map_err(|_| {
                let text = "expected a host name or an IP address";
                Error::new(Kind::Config, format!("broker.tls.server_name: got '{name}': {text}"))
            })
        });
        Ok(Self {
            config: Arc::new(config),
            server_name: server_name.transpose()?,
            client_certificate: options.cert_path.is_some(),
        })
    }

    /// Shakes hands over a connection to `address`, until `deadline`.
    pub fn connect(&self, address: &str, socket: TcpStream, deadline: Instant) -> Result<Stream> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => host_name(address)?,
        };
        let session = ClientConnection::new(Arc::clone(&self.config), name)
            .map_err(|error| self.explain(address, &error))?;
        let mut stream = TlsStream::new(session, socket);
        match stream.shake_hands(deadline) {
            Ok(()) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(self.failed(address, &error).unwrap_or_else(|| {
                let text = format!("{address}: the TLS handshake failed: {error}");
                Error::new(Kind::Connect, text)
            })),
        }
    }

    /// What an error of a stream says if it is about TLS itself; None for one of the connection below.
    pub fn failed(&self, address: &str, error: &std::io::Error) -> Option<Error> {
        let cause = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(self.explain(address, cause))
    }

    /// Certificates are a matter of who is who; whatever else goes wrong may go right with the next attempt.
    fn explain(&self, address: &str, error: &rustls::Error) -> Error {
        let (kind, text) = match error {
            rustls::Error::InvalidCertificate(problem) => (Kind::Authentication, of_certificate(problem)),
            rustls::Error::NoCertificatesPresented => {
                (Kind::Authentication, "the server shows no certificate".to_owned())
            }
            rustls::Error::AlertReceived(alert) => match self.of_alert(*alert) {
                Some(text) => (Kind::Authentication, text.to_owned()),
                None => (Kind::Connect, format!("the server ended the TLS connection: {alert:?}")),
            },
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                let text = "the server does not speak TLS: expected broker.tls.enabled to be false, or the \
                            address of a TLS port";
                (Kind::Protocol, text.to_owned())
            }
            error => (Kind::Connect, format!("TLS: {error}")),
        };
        Error::new(kind, format!("{address}: {text}"))
    }

    /// What the server has against our certificate.
    fn of_alert(&self, alert: AlertDescription) -> Option<&'static str> {
        Some(match alert {
            // Servers with TLS 1.2 answer a missing certificate with the first.
            AlertDescription::HandshakeFailure | AlertDescription::CertificateRequired
                if !self.client_certificate =>
            {
                "the server ended the TLS handshake, as one that wants a client certificate does: \
                 broker.tls.cert_path and key_path are not given"
            }
            AlertDescription::UnknownCA => {
                "the server does not know the CA of the client certificate in broker.tls.cert_path"
            }
            AlertDescription::CertificateExpired => {
                "the server says that the client certificate in broker.tls.cert_path has expired"
            }
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::AccessDenied => {
                "the server does not accept the client certificate (broker.tls.cert_path)"
            }
            _ => return None,
        })
    }
}

/// What is wrong with the server's certificate, and which option is about it.
fn of_certificate(problem: &CertificateError) -> String {
    let (text, option) = match problem {
        CertificateError::UnknownIssuer => ("is of a CA that is not trusted".to_owned(), "ca_path"),
        CertificateError::BadSignature => ("is not signed by the trusted CA".to_owned(), "ca_path"),
        CertificateError::NotValidForName => ("is for another host".to_owned(), "server_name"),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| in_brackets(name)).collect();
            let names = if names.is_empty() { "no host at all".to_owned() } else { shown(&names.join(", ")) };
            (format!("is for {names}, and not for {}", expected.to_str()), "server_name")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            return "the server's certificate has expired".to_owned();
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            return "the server's certificate is not valid yet".to_owned();
        }
        // Of webpki, which is behind rustls: a CA's own certificate, as those that sign themselves often are.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            let text = "is that of a CA: expected one that a CA has issued for the host".to_owned();
            (text, "ca_path")
        }
        other => (format!("is not accepted: {other}"), "ca_path"),
    };
    format!("the server's certificate {text} (broker.tls.{option})")
}

/// What is in `DnsName("rivven.test")`.
fn in_brackets(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, name)| name.trim_end_matches(')').trim_matches('"'))
}

/// The certificates to trust.
fn roots(ca_path: Option<&str>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_path else {
        // One that cannot be read is one less that is trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let text = "broker.tls.ca_path: missing: the system has no CA certificates";
            return Err(Error::new(Kind::Config, text));
        }
        return Ok(roots);
    };
    for certificate in certificates("ca_path", path)? {
        roots.add(certificate).map_err(|error| unusable("ca_path", path, &error.to_string()))?;
    }
    Ok(roots)
}

fn certificates(option: &str, path: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(option, path, &error))?;
    if found.is_empty() {
        return Err(unusable(option, path, "it holds no certificate"));
    }
    Ok(found)
}

fn private_key(path: &str) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            unusable("key_path", path, "it holds no private key, or one that is encrypted")
        }
        error => unreadable("key_path", path, &error),
    })
}

fn unreadable(option: &str, path: &str, error: &pem::Error) -> Error {
    let text = match error {
        pem::Error::Io(error) => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_owned()
        }
        // The parser's own words may quote the file.
        _ => "it is damaged".to_owned(),
    };
    unusable(option, path, &text)
}

fn unusable(option: &str, path: &str, problem: &str) -> Error {
    let text = format!("broker.tls.{option}: got '{path}': {problem}: expected a PEM file");
    Error::new(Kind::UnusableFile, text)
}

fn missing(option: &str, other: &str) -> Error {
    Error::new(Kind::Config, format!("broker.tls.{option}: missing: {other} requires it"))
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host_name(address: &str) -> Result<ServerName<'static>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // The dot that ends a complete name is for resolvers only.
    let host = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(host.to_owned()).map_err(|_| {
        let text = "its host cannot stand in a certificate: set broker.tls.server_name";
        Error::new(Kind::Config, format!("{address}: {text}"))
    })
}

/// Accepts whatever the server shows: the option `insecure`.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    // Whose key it is is not known, so nothing would be gained by checking that the server has it.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
