//! Checks whether a certificate was issued for a host, by libpq's rules: alternative names, the common name, and name constraints on it.

use std::net::IpAddr;

use x509_cert::Certificate;
use x509_cert::der::asn1::{Any, ObjectIdentifier};
use x509_cert::der::{Decode, Reader, SliceReader, Tagged};
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;

use super::purpose;
use super::verdict::Refusal;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const EMAIL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");
const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// The tags of alternative names that count.
const DNS: u8 = 2;
const ADDRESS: u8 = 7;
/// The last tag that there is.
const REGISTERED_ID: u8 = 8;

/// The names in a certificate that a host can be compared with.
pub(super) struct Names {
    /// Alternative names, as they are.
    dns: Vec<Vec<u8>>,
    addresses: Vec<IpAddr>,
    /// The first common name.
    common: Option<Vec<u8>>,
    /// All of them.
    commons: Vec<Vec<u8>>,
    email: bool,
}

impl Names {
    /// The names of a certificate.
    ///
    /// # Errors
    /// Names that cannot be read: using the common name then would mean trusting something that was not checked.
    pub(super) fn of(certificate: &Certificate) -> Result<Self, Refusal> {
        let tbs = &certificate.tbs_certificate;
        let attributes = || tbs.subject.0.iter().flat_map(|part| part.0.iter());
        let commons: Vec<Vec<u8>> =
            attributes().filter(|part| part.oid == COMMON_NAME).map(|part| part.value.value().to_vec()).collect();
        let email = attributes().any(|part| part.oid == EMAIL);
        let common = commons.first().cloned();
        let mut names = Self { dns: Vec::new(), addresses: Vec::new(), common, commons, email };
        let mut extensions = tbs.extensions.iter().flatten().filter(|one| one.extn_id == ALTERNATIVE_NAMES);
        let unreadable = || Refusal::Unfit { why: "it has alternative names that cannot be read".to_owned() };
        if let Some(extension) = extensions.next() {
            names.read(extension.extn_value.as_bytes()).ok_or_else(unreadable)?;
        }
        if extensions.next().is_some() || names.dns.iter().chain(&names.common).any(|name| name.contains(&0)) {
            return Err(unreadable());
        }
        Ok(names)
    }

    fn read(&mut self, extension: &[u8]) -> Option<()> {
        let list: Any =
            Any::from_der(extension).ok().filter(|list: &Any| list.tag() == x509_cert::der::Tag::Sequence)?;
        let mut rest = SliceReader::new(list.value()).ok()?;
        while !rest.is_finished() {
            let kind = rest.peek_byte()?;
            let name: Any = rest.decode().ok()?;
            if kind & 0xC0 != 0x80 {
                return None;
            }
            match kind & 0x1F {
                DNS => self.dns.push(name.value().to_vec()),
                ADDRESS => {
                    let four = <[u8; 4]>::try_from(name.value()).map(IpAddr::from);
                    self.addresses.push(four.or_else(|_| <[u8; 16]>::try_from(name.value()).map(IpAddr::from)).ok()?);
                }
                other if other > REGISTERED_ID => return None,
                // Nothing that a host could be called. Whether it is well-formed does not matter.
                _ => {}
            }
        }
        Some(())
    }

    /// Refuses a host that none of the names matches. The common name counts if there is no alternative name of the host's
    /// kind, unless the names below some authority are `limited`: name constraints are made for alternative names.
    pub(super) fn fit(&self, host: &str, limited: bool) -> Result<(), Refusal> {
        let address: Option<IpAddr> = host.parse().ok();
        if address.is_some_and(|address| self.addresses.contains(&address)) {
            return Ok(());
        }
        let same_kind = if address.is_some() { !self.addresses.is_empty() } else { !self.dns.is_empty() };
        let common = self.common.as_ref().filter(|_| !same_kind);
        let counts = common.filter(|_| !limited);
        if self.dns.iter().chain(counts).any(|name| matches(name, host)) {
            return Ok(());
        }
        if common.is_some_and(|name| matches(name, host)) {
            let why = "it has the host's name in its common name alone, which does not count where an authority has name constraints";
            return Err(Refusal::Unfit { why: why.to_owned() });
        }
        let shown = self.dns.iter().chain(counts).map(|name| String::from_utf8_lossy(name).into_owned());
        let mut names: Vec<String> = shown.chain(self.addresses.iter().map(ToString::to_string)).collect();
        names.sort();
        names.dedup();
        Err(Refusal::OtherHost { host: host.to_owned(), names })
    }

    /// Refuses names beyond the limits that an authority above the certificate has, where `rustls` does not look: in the common
    /// name where there is no alternative one, and in the subject's e-mail address.
    pub(super) fn keep_to(&self, authority: &Certificate) -> Result<(), Refusal> {
        let beyond = |why: String| Err(Refusal::Unfit { why });
        let limits = match purpose::limits(authority) {
            Ok(None) => return Ok(()),
            Ok(Some(limits)) => limits,
            Err(why) => return beyond(format!("its authority “{}” {why}", authority.tbs_certificate.subject)),
        };
        let permitted = limits.permitted_subtrees.unwrap_or_default();
        let excluded = limits.excluded_subtrees.unwrap_or_default();
        let about = |tree: &&GeneralSubtree| matches!(tree.base, GeneralName::Rfc822Name(_));
        if self.email && (permitted.iter().any(|tree| about(&tree)) || excluded.iter().any(|tree| about(&tree))) {
            return beyond("it has an e-mail address where an authority has name constraints on those".to_owned());
        }
        if !self.dns.is_empty() {
            return Ok(());
        }
        for name in self.commons.iter().filter(|name| is_host(name)) {
            let bases = |trees: &[GeneralSubtree]| -> Vec<bool> {
                let base = |tree: &GeneralSubtree| match &tree.base {
                    GeneralName::DnsName(base) => Some(is_below(name, base.as_str().as_bytes())),
                    _ => None,
                };
                trees.iter().filter_map(base).collect()
            };
            let (inside, outside) = (bases(&permitted), bases(&excluded));
            if outside.contains(&true) || !(inside.is_empty() || inside.contains(&true)) {
                return beyond(format!(
                    "the name constraints of its authority do not allow {}",
                    String::from_utf8_lossy(name)
                ));
            }
        }
        Ok(())
    }
}

/// True if a common name looks like that of a host: only such are held against name constraints.
fn is_host(name: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    name.contains(&b'.') && name.iter().all(plain)
}

fn is_below(name: &[u8], base: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(base.len()) else { return false };
    let (before, end) = name.split_at(start);
    end.eq_ignore_ascii_case(base)
        && (base.is_empty() || before.is_empty() || base.first() == Some(&b'.') || before.last() == Some(&b'.'))
}

fn matches(name: &[u8], host: &str) -> bool {
    let host = host.as_bytes();
    match name.strip_prefix(b"*") {
        Some(rest) if rest.first() == Some(&b'.') && rest.len() > 1 => {
            let first = host.iter().position(|byte| *byte == b'.').unwrap_or(0);
            first > 0 && host.get(first..).is_some_and(|end| end.eq_ignore_ascii_case(rest))
        }
        _ => name.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_libpq() {
        for (name, host, same) in [
            ("db.example", "DB.example", true),
            ("*.example", "db.example", true),
            ("*.example", "a.db.example", false),
            ("*.example", "example", false),
            ("*.", "db.", false),
            ("*", "db", false),
            ("d*.example", "db.example", false),
            ("db.example", "db.example.org", false),
        ] {
            assert_eq!(matches(name.as_bytes(), host), same, "{name} {host}");
        }
    }

    #[test]
    fn names_are_below_those_that_they_end_with() {
        for (name, base, below) in [
            ("db.example.test", "example.test", true),
            ("EXAMPLE.test", "example.test", true),
            ("badexample.test", "example.test", false),
            ("db.example.test", ".example.test", true),
            ("example.test", ".example.test", false),
            ("db.bank.test", "example.test", false),
            ("anything.at.all", "", true),
        ] {
            assert_eq!(is_below(name.as_bytes(), base.as_bytes()), below, "{name} {base}");
        }
    }
}
