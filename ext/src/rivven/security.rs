//! `RivvenSecurity`: how connections are secured, for Python.

use std::sync::Arc;

use pyo3::prelude::*;

use super::scram::Login;
use super::tls::{Tls, TlsOptions};
use crate::error::{Error, Kind, Result};

/// TLS and the login of connections to Rivven. Made once for all clients of a connector: they share the keys that
/// are worked out of the password. Shows nothing of what it was given.
///
/// Without `tls` connections are in plain text, and the other options of TLS have no use. Without `username` nobody
/// logs in; with it SCRAM-SHA-256 is used.
///
/// Raises:
///     ConfigError: A file cannot be used; the message names the option of `broker.tls`, and the file.
#[pyclass(frozen, skip_from_py_object, module = "rivven_kafka._native")]
#[derive(Debug, Clone, Default)]
#[allow(clippy::doc_markdown)] // read as plain text by help()
pub struct RivvenSecurity {
    /// Makes TLS connections.
    pub(super) tls: Option<Arc<Tls>>,
    /// Who logs in.
    pub(super) login: Option<Arc<Login>>,
}

#[pymethods]
impl RivvenSecurity {
    #[new]
    #[pyo3(signature = (*, tls=false, ca_path=None, cert_path=None, key_path=None, server_name=None,
        insecure=false, username=None, password=None))]
    #[allow(clippy::too_many_arguments)] // keyword arguments in Python
    fn new(
        tls: bool,
        ca_path: Option<String>,
        cert_path: Option<String>,
        key_path: Option<String>,
        server_name: Option<String>,
        insecure: bool,
        username: Option<String>,
        password: Option<String>,
    ) -> Result<Self> {
        let options = TlsOptions { ca_path, cert_path, key_path, server_name, insecure };
        let tls = if tls { Some(Arc::new(Tls::new(&options)?)) } else { None };
        let login = match (username, password) {
            (Some(username), Some(password)) => Some(Arc::new(Login::new(username, password))),
            (None, None) => None,
            _ => return Err(Error::new(Kind::Config, "give username and password, or neither")),
        };
        Ok(Self { tls, login })
    }
}
