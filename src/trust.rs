//! Certificate authorities for a machine that has none.
//!
//! Small images (`debian:slim`, `node:slim`) come without `ca-certificates`, and without any Azure's clients do not start,
//! not even to speak plain HTTP to local services. There Mozilla's list takes the system's place. Elsewhere, the system's
//! list is the only one.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The length of a line of PEM. Source: RFC 7468, section 2.
const LINE: usize = 64;

/// A file with the built-in authorities, for `SSL_CERT_FILE`, if this machine has none of its own. It is in memory, and is
/// there for as long as the process and those that it starts.
#[must_use]
pub fn built_in_authorities() -> Option<String> {
    if has_authorities() {
        return None;
    }
    // Where memory cannot be had as a file, connecting fails as it would have anyway, and says why.
    in_memory(&pem()).ok()
}

fn has_authorities() -> bool {
    let found = openssl_probe::probe();
    let has_entries = |folder: &Path| folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    found.cert_file.is_some() || found.cert_dir.iter().any(|folder| has_entries(folder))
}

fn in_memory(content: &[u8]) -> io::Result<String> {
    // Not closed on exec: Azure's command line, which txgen asks for tokens, inherits the variable too.
    let mut file = File::from(rustix::fs::memfd_create("txgen-authorities", rustix::fs::MemfdFlags::empty())?);
    file.write_all(content)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // The path is good for as long as the file is open: until the end.
    let _ = file.into_raw_fd();
    Ok(path)
}

fn pem() -> Vec<u8> {
    let mut pem = Vec::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(certificate).as_bytes().chunks(LINE) {
            pem.extend_from_slice(line);
            pem.push(b'\n');
        }
        pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
    }
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_authorities_are_read_by_path_as_certificates() {
        let path = in_memory(&pem()).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let certificates = openssl::x509::X509::stack_from_pem(text.as_bytes()).unwrap();
        assert_eq!(certificates.len(), webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
        assert!(certificates.len() > 100);
    }
}
