//! Certificates made byte by byte: any version, extension, name and signature algorithm, valid and invalid ones.

use rcgen::{KeyPair, PublicKeyData, SigningKey};

/// An extension: its identifier, whether it is critical, its value.
pub type Extension = (&'static str, bool, Vec<u8>);

/// What a certificate says.
#[derive(Clone)]
pub struct Spec {
    /// Common names of the subject.
    pub subject: Vec<String>,
    pub version1: bool,
    /// The years in which it begins and ends to be valid.
    pub years: (u32, u32),
    pub number: u8,
    pub extensions: Vec<Extension>,
    /// Another signature algorithm than that of the signer's key, as DER: nobody will be able to check the signature.
    pub algorithm: Option<Vec<u8>>,
}

impl Spec {
    pub fn new(subject: &str) -> Self {
        let subject = vec![subject.to_owned()];
        Self { subject, version1: false, years: (2020, 2090), number: NUMBER, extensions: Vec::new(), algorithm: None }
    }

    pub fn with(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    pub fn version1(mut self) -> Self {
        self.version1 = true;
        self.extensions.clear();
        self
    }

    pub fn numbered(mut self, number: u8) -> Self {
        self.number = number;
        self
    }

    pub fn years(mut self, from: u32, to: u32) -> Self {
        self.years = (from, to);
        self
    }
}

/// A certificate with its key.
pub struct Made {
    pub der: Vec<u8>,
    pub key: KeyPair,
    pub subject: Vec<String>,
}

/// A new key on P-256.
pub fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// A certificate that signs itself.
pub fn root(spec: &Spec) -> Made {
    let key = key();
    let der = encode_with(spec, &spec.subject, &key, &key);
    Made { der, key, subject: spec.subject.clone() }
}

impl Made {
    /// A certificate that this one signs.
    pub fn sign(&self, spec: &Spec) -> Made {
        self.sign_for(spec, key())
    }

    /// A certificate that this one signs for a key.
    pub fn sign_for(&self, spec: &Spec, key: KeyPair) -> Made {
        let der = encode_with(spec, &self.subject, &key, &self.key);
        Made { der, key, subject: spec.subject.clone() }
    }

    /// The same certificate with another key behind its name: what it signs is forged.
    pub fn forged(&self) -> Made {
        Made { der: self.der.clone(), key: key(), subject: self.subject.clone() }
    }
}

/// A self-signed certificate of a key of one's choice.
pub fn of_key(spec: &Spec, key: &KeyPair) -> Vec<u8> {
    encode_with(spec, &spec.subject, key, key)
}

/// As text.
pub fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in der.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > three.len() { '=' } else { char::from(digit) });
        }
    }
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// `basicConstraints`.
pub fn basic(ca: bool, depth: Option<u8>) -> Extension {
    let ca = if ca { tlv(0x01, &[0xFF]) } else { Vec::new() };
    ("2.5.29.19", true, seq(&[ca, depth.map_or_else(Vec::new, |depth| tlv(0x02, &[depth]))]))
}

/// `keyUsage` with the bits of those numbers: 0 signs data, 5 certificates, 6 lists.
pub fn usage(bits: &[u8]) -> Extension {
    let byte = bits.iter().fold(0u8, |byte, bit| byte | 0x80 >> bit);
    ("2.5.29.15", true, tlv(0x03, &[u8::try_from(byte.trailing_zeros()).expect("small"), byte]))
}

/// `extendedKeyUsage`.
pub fn purposes(list: &[&str]) -> Extension {
    ("2.5.29.37", false, seq(&list.iter().map(|one| oid(one)).collect::<Vec<_>>()))
}

pub const SERVER: &str = "1.3.6.1.5.5.7.3.1";
pub const CLIENT: &str = "1.3.6.1.5.5.7.3.2";
pub const ANY: &str = "2.5.29.37.0";

/// `subjectAltName` of such names: the tag of each, and its bytes.
pub fn names(list: &[(u8, &[u8])]) -> Extension {
    ("2.5.29.17", false, seq(&list.iter().map(|(tag, value)| tlv(*tag, value)).collect::<Vec<_>>()))
}

/// The tags of names.
pub const DNS: u8 = 0x82;
pub const X400: u8 = 0xA3;
pub const URI: u8 = 0x86;
pub const ADDRESS: u8 = 0x87;
pub const REGISTERED: u8 = 0x88;

/// `nameConstraints`: DNS names that are permitted, and such as are excluded.
pub fn limits(permitted: &[&str], excluded: &[&str]) -> Extension {
    let trees = |tag: u8, list: &[&str]| match list {
        [] => Vec::new(),
        _ => tlv(tag, &list.iter().flat_map(|name| seq(&[tlv(DNS, name.as_bytes())])).collect::<Vec<_>>()),
    };
    ("2.5.29.30", true, seq(&[trees(0xA0, permitted), trees(0xA1, excluded)]))
}

/// `subjectKeyIdentifier`.
pub fn own_key(identifier: &[u8]) -> Extension {
    ("2.5.29.14", false, tlv(0x04, identifier))
}

/// `authorityKeyIdentifier`.
pub fn issuer_key(identifier: &[u8]) -> Extension {
    ("2.5.29.35", false, seq(&[tlv(0x80, identifier)]))
}

/// A critical extension that nobody knows.
pub fn unknown() -> Extension {
    ("1.2.3.4.5", true, seq(&[]))
}

/// An algorithm's identifier; without parameters, or with NULL.
pub fn algorithm(identifier: &str, null: bool) -> Vec<u8> {
    seq(&[oid(identifier), if null { tlv(0x05, &[]) } else { Vec::new() }])
}

/// RSA-PSS with that hash function; `None` leaves it at SHA-1.
pub fn rsa_pss(hash: Option<&str>) -> Vec<u8> {
    let hash = hash.map_or_else(Vec::new, |hash| {
        let mask = seq(&[oid("1.2.840.113549.1.1.8"), algorithm(hash, true)]);
        [tlv(0xA0, &algorithm(hash, true)), tlv(0xA1, &mask), tlv(0xA2, &tlv(0x02, &[32]))].concat()
    });
    seq(&[oid("1.2.840.113549.1.1.10"), seq(&[hash])])
}

/// A list of revoked certificates: from when to when it is valid, and numbers.
pub fn list(issuer: &Made, years: (u32, u32), numbers: &[u8]) -> Vec<u8> {
    let revoked: Vec<u8> = numbers.iter().flat_map(|number| seq(&[tlv(0x02, &[*number]), time(2021)])).collect();
    let revoked = if numbers.is_empty() { Vec::new() } else { tlv(0x30, &revoked) };
    let number = tlv(0xA0, &seq(&[seq(&[oid("2.5.29.20"), tlv(0x04, &tlv(0x02, &[1]))])]));
    let algorithm = identifier(&issuer.key);
    let signed = seq(&[
        tlv(0x02, &[1]),
        algorithm.clone(),
        distinguished(&issuer.subject),
        time(years.0),
        time(years.1),
        revoked,
        number,
    ]);
    let signature = issuer.key.sign(&signed).expect("signs");
    seq(&[signed, algorithm, bits(&signature)])
}

/// The number that these certificates have, unless they have another one.
pub const NUMBER: u8 = 7;

fn encode_with(spec: &Spec, issuer: &[String], key: &KeyPair, signer: &KeyPair) -> Vec<u8> {
    let sign = |message: &[u8]| signer.sign(message).expect("signs");
    encode(spec, issuer, &key.subject_public_key_info(), &identifier(signer), &sign)
}

/// A certificate for a public key, with whatever signs it.
pub fn encode(
    spec: &Spec,
    issuer: &[String],
    public: &[u8],
    algorithm: &[u8],
    sign: &dyn Fn(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let algorithm = spec.algorithm.clone().unwrap_or_else(|| algorithm.to_vec());
    let version = if spec.version1 { Vec::new() } else { tlv(0xA0, &tlv(0x02, &[2])) };
    let extensions: Vec<Vec<u8>> = spec
        .extensions
        .iter()
        .map(|(identifier, critical, value)| {
            let critical = if *critical { tlv(0x01, &[0xFF]) } else { Vec::new() };
            seq(&[oid(identifier), critical, tlv(0x04, value)])
        })
        .collect();
    let extensions = if extensions.is_empty() { Vec::new() } else { tlv(0xA3, &seq(&extensions)) };
    let signed = seq(&[
        version,
        tlv(0x02, &[spec.number]),
        algorithm.clone(),
        distinguished(issuer),
        seq(&[time(spec.years.0), time(spec.years.1)]),
        distinguished(&spec.subject),
        public.to_vec(),
        extensions,
    ]);
    let signature = sign(&signed);
    seq(&[signed, algorithm, bits(&signature)])
}

fn identifier(signer: &KeyPair) -> Vec<u8> {
    let ed25519 = signer.is_compatible(&rcgen::PKCS_ED25519);
    algorithm(if ed25519 { "1.3.101.112" } else { "1.2.840.10045.4.3.2" }, false)
}

/// A name as certificates have it.
pub fn distinguished(commons: &[String]) -> Vec<u8> {
    let part = |common: &String| tlv(0x31, &seq(&[oid("2.5.4.3"), tlv(0x0C, common.as_bytes())]));
    seq(&commons.iter().map(part).collect::<Vec<_>>())
}

fn time(year: u32) -> Vec<u8> {
    match year {
        ..2050 => tlv(0x17, format!("{:02}0101000000Z", year % 100).as_bytes()),
        _ => tlv(0x18, format!("{year}0101000000Z").as_bytes()),
    }
}

fn bits(value: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], value].concat())
}

fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = match value.len() {
        short @ ..0x80 => vec![u8::try_from(short).expect("short")],
        byte @ ..0x100 => vec![0x81, u8::try_from(byte).expect("a byte")],
        long => [&[0x82][..], &u16::try_from(long).expect("fits").to_be_bytes()].concat(),
    };
    [&[tag][..], &length, value].concat()
}

fn oid(text: &str) -> Vec<u8> {
    let parts: Vec<u32> = text.split('.').map(|part| part.parse().expect("a number")).collect();
    let mut value = Vec::new();
    for part in std::iter::once(parts[0] * 40 + parts[1]).chain(parts[2..].iter().copied()) {
        let digits: Vec<u8> = (0..5).map(|place| (part >> (7 * place) & 0x7F) as u8).collect();
        let last = digits.iter().rposition(|digit| *digit != 0).unwrap_or(0);
        value.extend((0..=last).rev().map(|place| digits[place] | if place > 0 { 0x80 } else { 0 }));
    }
    tlv(0x06, &value)
}
