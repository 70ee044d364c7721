//! Edge values of PostgreSQL's scalar types, and of those that common extensions provide.

use super::dice::Dice;
use super::values::{Values, strings, unique};

/// Values of a type by its name. For unknown types, guesses are tried.
pub(super) fn scalars(name: &str, modifier: i32, dice: &mut Dice) -> Values {
    numbers(name, modifier)
        .or_else(|| times(name, modifier))
        .or_else(|| texts(name, modifier))
        .or_else(|| bits(name, modifier))
        .or_else(|| identifiers(name, dice))
        .or_else(|| documents(name))
        .unwrap_or_else(|| list(&fixed(name), &[]))
}

fn list(edges: &[&str], plain: &[&str]) -> Values {
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let mut found = Values { edges: own(edges), plain: own(if plain.is_empty() { edges } else { plain }) };
    unique(&mut found.edges);
    found
}

fn counted(edges: &[&str]) -> Values {
    Values { plain: (1..=40).map(|number| number.to_string()).collect(), ..list(edges, &[]) }
}

fn numbers(name: &str, modifier: i32) -> Option<Values> {
    Some(match name {
        "bool" => list(&["t", "f"], &[]),
        "int2" => counted(&["-32768", "32767", "0", "-1", "1"]),
        "int4" => counted(&["-2147483648", "2147483647", "0", "-1", "1", "32768", "65536"]),
        "int8" => {
            counted(&["-9223372036854775808", "9223372036854775807", "0", "-1", "1", "2147483648", "9007199254740993"])
        }
        "float4" => counted(&[
            "-3.4028235e+38",
            "3.4028235e+38",
            "0",
            "-0",
            "NaN",
            "Infinity",
            "-Infinity",
            "0.1",
            "1.1754944e-38",
            "16777217",
        ]),
        "float8" => counted(&[
            "-1.7976931348623157e+308",
            "1.7976931348623157e+308",
            "0",
            "-0",
            "NaN",
            "Infinity",
            "-Infinity",
            "0.1",
            "2.2250738585072014e-308",
            "9007199254740993",
        ]),
        "numeric" => numeric(modifier),
        "money" => counted(&["-92233720368547758.08", "92233720368547758.07", "0", "-0.01", "0.01"]),
        "oid" | "xid" => counted(&["0", "4294967295", "1"]),
        "xid8" => counted(&["0", "18446744073709551615", "1"]),
        "cid" => counted(&["0", "4294967295"]),
        _ => return None,
    })
}

/// Digits before and after the point, of a numeric's modifier (src/backend/utils/adt/numeric.c).
pub(super) fn digits(modifier: i32) -> Option<(i32, i32)> {
    let packed = modifier - 4;
    (packed >= 0).then(|| ((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024))
}

fn numeric(modifier: i32) -> Values {
    let Some((precision, scale)) = digits(modifier) else {
        let nines = "9".repeat(40);
        let (high, low) = (format!("{nines}.{}", &nines[..12]), format!("-{nines}.{}", &nines[..12]));
        return counted(&[&low, &high, "0", "NaN", "-1", "1.50", "0.000000000001", "12345.678901234567890"]);
    };
    let (precision, places) = (usize::try_from(precision).unwrap_or(1), usize::try_from(scale).unwrap_or(0));
    let nines = "9".repeat(precision);
    let high = match scale {
        ..0 => format!("{nines}{}", "0".repeat(scale.unsigned_abs() as usize)),
        0 => nines,
        _ if places >= precision => format!("0.{}{nines}", "0".repeat(places - precision)),
        _ => format!("{}.{}", &nines[..precision - places], &nines[precision - places..]),
    };
    let smallest = if places == 0 { "1".to_owned() } else { format!("0.{}1", "0".repeat(places - 1)) };
    let low = format!("-{high}");
    let mut found = counted(&[&low, &high, "0", &smallest, "NaN", &format!("-{smallest}")]);
    if precision < places + 2 {
        let room = precision.saturating_sub(places);
        found.plain.retain(|number| number.len() <= room);
        if found.plain.is_empty() {
            found.plain = vec!["0".to_owned(), smallest];
        }
    }
    found
}

fn times(name: &str, modifier: i32) -> Option<Values> {
    let days: Vec<String> = (1..=31).map(|day| format!("2024-01-{day:02}")).collect();
    let mut dates = days.clone();
    dates.extend((2..=12).map(|month| format!("2024-{month:02}-01")));
    dates.extend(["1999-12-31", "2000-01-01", "1985-06-15"].map(str::to_owned));
    let at = |time: &str, days: &[String]| days.iter().map(|day| format!("{day} {time}")).collect::<Vec<_>>();
    let last = if !(0..6).contains(&modifier) { "23:59:59.999999" } else { "23:59:59" };
    let (first, end) = ("4714-11-24 00:00:00", format!("294276-12-31 {last}"));
    let leap = format!("2024-02-29 {last}");
    Some(match name {
        "date" => Values {
            plain: dates,
            ..list(
                &[
                    "4714-11-24 BC",
                    "5874897-12-31",
                    "infinity",
                    "-infinity",
                    "2024-02-29",
                    "0001-12-31 BC",
                    "1970-01-01",
                    "2024-03-31",
                ],
                &[],
            )
        },
        "timestamp" => {
            let edges = [
                &format!("{first} BC"),
                end.as_str(),
                "infinity",
                "-infinity",
                &leap,
                "2024-03-31 02:30:00.123456",
                "2024-10-27 02:30:00",
                "1970-01-01 00:00:00",
                "0001-12-31 23:00:00 BC",
            ];
            let plain = at("00:00:00", &dates).into_iter().chain(at("12:34:56", &days)).collect();
            Values { plain, ..list(&edges, &[]) }
        }
        "timestamptz" => {
            let edges = [
                &format!("{first}+00 BC"),
                &format!("{end}+00"),
                "infinity",
                "-infinity",
                &format!("{leap}+00"),
                "2024-03-31 01:00:00.123456+00",
                "2024-10-27 00:30:00+00",
                "1970-01-01 00:00:00+00",
            ];
            let plain = at("00:00:00+00", &dates).into_iter().chain(at("12:34:56+00", &days)).collect();
            Values { plain, ..list(&edges, &[]) }
        }
        "time" => list(
            &["00:00:00", "24:00:00", last, "12:00:00"],
            &["08:00:00", "09:30:00", "12:00:00", "17:45:00", "20:00:00"],
        ),
        "timetz" => list(
            &["00:00:00+15:59", "24:00:00-15:59", &format!("{last}+00"), "02:30:00+02"],
            &["08:00:00+00", "09:30:00+00", "12:00:00+00", "17:45:00+00"],
        ),
        "interval" => list(
            &[
                "-178000000 years",
                "178000000 years",
                "0",
                "1 mon -1 days +00:00:00.000001",
                "-1 days",
                "1 mon",
                "30 days",
            ],
            &["1 min", "1 hour", "2 hours", "1 day", "2 days", "7 days", "1 mon", "3 mons", "1 year", "2 years"],
        ),
        _ => return None,
    })
}

fn texts(name: &str, modifier: i32) -> Option<Values> {
    let limit = usize::try_from(modifier - 4).ok();
    Some(match name {
        "text" | "citext" => strings(None, false),
        "varchar" => strings(limit, false),
        "bpchar" => strings(limit, true),
        "name" => strings(Some(60), false),
        "char" => list(&["", "a", "~"], &["a", "b", "c", "d", "e", "f", "g", "h"]),
        _ => return None,
    })
}

fn bits(name: &str, modifier: i32) -> Option<Values> {
    let of = |length: usize| {
        let bits = |number: usize| {
            (0..length).rev().map(|at| if at < 16 && number >> at & 1 == 1 { '1' } else { '0' }).collect::<String>()
        };
        let (zeros, ones) = ("0".repeat(length), "1".repeat(length));
        let plain: Vec<String> = (0..16_usize).map(bits).collect();
        let mut found = Values { plain, ..list(&[&zeros, &ones], &[]) };
        unique(&mut found.plain);
        found
    };
    Some(match name {
        "bit" => of(usize::try_from(modifier).unwrap_or(1).clamp(1, 4096)),
        "varbit" => {
            let most = usize::try_from(modifier).unwrap_or(64).clamp(1, 4096);
            let mut found = of(most.min(16));
            found.edges.splice(0..0, [String::new(), "1".repeat(most)]);
            found
        }
        "bytea" => {
            let long = format!("\\x{}", "00ff".repeat(100));
            let mut found = list(&["\\x", "\\x00", &long, "\\xff", "\\x5c27"], &[]);
            found.plain = (1..=20).map(|number| format!("\\x{number:02x}")).collect();
            found
        }
        _ => return None,
    })
}

fn identifiers(name: &str, dice: &mut Dice) -> Option<Values> {
    Some(match name {
        "uuid" => {
            let mut found =
                list(&["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"], &[]);
            found.plain = (0..24)
                .map(|_| {
                    let (high, low) = (dice.next(), dice.next());
                    format!(
                        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
                        high >> 32,
                        high >> 16 & 0xffff,
                        high & 0xfff,
                        low >> 52,
                        low & 0xffff_ffff_ffff
                    )
                })
                .collect();
            found
        }
        "inet" => {
            let mut found = list(
                &[
                    "0.0.0.0/0",
                    "255.255.255.255",
                    "::/0",
                    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                    "10.0.0.1/24",
                    "::ffff:1.2.3.4",
                ],
                &[],
            );
            found.plain = (1..=20).map(|number| format!("10.0.0.{number}")).chain(["2001:db8::1".to_owned()]).collect();
            found
        }
        "cidr" => {
            let mut found = list(&["0.0.0.0/0", "255.255.255.255/32", "::/0", "2001:db8::/32"], &[]);
            found.plain = (1..=20).map(|number| format!("10.{number}.0.0/16")).collect();
            found
        }
        "macaddr" => addresses(&["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"], "08:00:2b:01:02"),
        "macaddr8" => addresses(&["00:00:00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff:ff:ff"], "08:00:2b:01:02:03:04"),
        _ => return None,
    })
}

fn addresses(edges: &[&str], start: &str) -> Values {
    Values { plain: (1..=20).map(|number| format!("{start}:{number:02x}")).collect(), ..list(edges, &[]) }
}

fn documents(name: &str) -> Option<Values> {
    let plain = (1..=12).map(|number| format!("{{\"k\": {number}}}")).chain(["{}".to_owned()]).collect();
    let shared = [
        "{}",
        "[]",
        "null",
        "\"\"",
        "0",
        "true",
        "[1, [2, {\"a\": null}]]",
        "{\"a\": {\"b\": [1, 2]}, \"é\": \"\\\"\"}",
        "1e400",
        "1.00",
    ];
    Some(match name {
        "json" => {
            let edges: Vec<&str> = ["{\"b\": 1,  \"a\":2, \"b\": 3}", " [1,   2] "].into_iter().chain(shared).collect();
            Values { plain, ..list(&edges, &[]) }
        }
        "jsonb" => Values { plain, ..list(&shared, &[]) },
        "xml" => list(&["<a/>", "", "<a b=\"1\">é<c/></a>", "text &amp; more"], &["<a>1</a>", "<a>2</a>", "<a>3</a>"]),
        "jsonpath" => list(&["$", "$.a[*] ? (@ > 1)", "strict $.b"], &[]),
        "tsvector" => list(&["", "'a':1A 'é':2,3", "'it''s'"], &["'word':1", "'other':1 'word':2"]),
        "tsquery" => list(&["", "'a' & !'b' | 'c':*", "'x' <-> 'y'"], &["'word'", "'other'"]),
        "hstore" => list(&["", "a=>1", "a=>NULL, \"b c\"=>\"\"", "é=>\"\\\"\""], &["k=>1", "k=>2", "k=>3"]),
        _ => return None,
    })
}

/// Of types that have few values worth a try; those of unknown ones are guesses.
fn fixed(name: &str) -> Vec<&'static str> {
    match name {
        "point" => vec!["(0,0)", "(1.5,-1e+300)", "(Infinity,0)", "(1,1)", "(2,1)", "(3,1)"],
        "line" => vec!["{1,2,3}", "{0,1,0}"],
        "lseg" => vec!["[(0,0),(1,1)]", "[(0,0),(0,0)]"],
        "box" => vec!["(1,1),(0,0)", "(0,0),(0,0)", "(2,2),(1,1)"],
        "path" => vec!["[(0,0),(1,1)]", "((0,0),(1,1),(2,0))"],
        "polygon" => vec!["((0,0),(1,1),(2,0))", "((0,0))"],
        "circle" => vec!["<(0,0),1>", "<(0,0),0>"],
        "pg_lsn" => vec!["0/0", "FFFFFFFF/FFFFFFFF", "0/1", "16/B374D848"],
        "tid" => vec!["(0,1)", "(4294967295,65535)"],
        "txid_snapshot" | "pg_snapshot" => vec!["1:1:", "10:20:10,14,15"],
        "regclass" => vec!["pg_catalog.pg_class", "pg_catalog.pg_type", "-"],
        "regtype" => vec!["integer", "text", "boolean", "uuid", "-"],
        "regproc" => vec!["pg_catalog.now", "pg_catalog.version", "-"],
        "regprocedure" => vec!["lower(text)", "upper(text)", "-"],
        "regrole" => vec!["pg_monitor", "-"],
        "regnamespace" => vec!["pg_catalog", "-"],
        "regconfig" => vec!["pg_catalog.simple", "pg_catalog.english"],
        "regdictionary" => vec!["pg_catalog.simple"],
        "regcollation" => vec!["\"C\""],
        "regoper" => vec!["0"],
        "regoperator" => vec!["+(integer,integer)"],
        "int2vector" | "oidvector" => vec!["", "1", "1 2"],
        "ltree" | "lquery" => vec!["a", "a.b", "top.science.astronomy", "b"],
        "ltxtquery" => vec!["a & b"],
        "cube" => vec!["(0)", "(1,2,3)", "(1,2),(3,4)"],
        "seg" => vec!["0", "1.5 .. 2.5"],
        "isbn" | "isbn13" => vec!["978-0-306-40615-7"],
        "geometry" | "geography" => {
            vec!["POINT(0 0)", "POINT(1 1)", "LINESTRING(0 0, 1 1)", "POLYGON((0 0, 1 0, 1 1, 0 0))"]
        }
        "vector" => vec!["[1,2,3]", "[0]"],
        _ => vec![
            "0",
            "1",
            "a",
            "",
            "{}",
            "[]",
            "()",
            "(1)",
            "(a)",
            "1.5",
            "\\x00",
            "2024-01-01",
            "t",
            "a.b",
            "x=>y",
            "[1,2,3]",
        ],
    }
}
