//! Parsers of foreign input (from hosts, users' files and Docker Engines) as functions over bytes:
//! the entry points of the fuzz targets in tests/fuzz, each with the properties that must hold for
//! any input. They exist only under cargo-fuzz and in unit tests, which keeps the crate's public
//! interface no wider than needed. The tests below replay each corpus for a short time.

/// Parses a known_hosts file: the first line of the input is the server's name, the rest is the
/// file.
pub fn known_hosts(bytes: &[u8]) {
    crate::transport::fuzzing::known_hosts(bytes);
}

/// Parses the output of `ssh -G`, and a configuration file after a NUL.
pub fn settings(bytes: &[u8]) {
    crate::transport::fuzzing::settings(bytes);
}

/// Parses the output of a gather: wholly from the host (first byte even), or the content of one
/// file on an honest host (odd).
pub fn gather(bytes: &[u8]) {
    for words in crate::runner::gather::fuzzing::gather(bytes) {
        let shown = crate::report::literal(&words);
        assert!(
            !shown.contains('\u{1b}') && !shown.contains('\r'),
            "{shown:?}"
        );
    }
}

/// Parses the stream of a command: markers, noise and output, cut into pieces.
pub fn stream(bytes: &[u8]) {
    crate::transport::fuzzing::stream(bytes);
}

/// Parses the answers of a Docker Engine to two requests.
pub fn engine_api(bytes: &[u8]) {
    crate::docker::fuzzing::engine_api(bytes);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    /// Replays a target's corpus, then mutated copies of it: bytes flipped, cut, doubled, spliced.
    /// The seed is fixed, which makes every run the same.
    fn replay(target: &str, entry: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fuzz/corpus")
            .join(target);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        let corpus: Vec<Vec<u8>> = files
            .iter()
            .map(|file| std::fs::read(file).unwrap())
            .collect();
        assert!(corpus.len() > 10, "{} has no corpus", folder.display());
        for (file, bytes) in files.iter().zip(&corpus) {
            assert!(
                bytes.len() <= 4096,
                "{}: {} bytes",
                file.display(),
                bytes.len()
            );
            entry(bytes);
        }
        let mut random = StdRng::seed_from_u64(3);
        for _ in 0..3000 {
            let mut bytes = corpus[random.random_range(0..corpus.len())].clone();
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(0..=bytes.len());
                match random.random_range(0..5) {
                    0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
                    1 => bytes.truncate(at),
                    2 => bytes.insert(at, b"\0\n \t=%\"'#*\x1b\xff"[random.random_range(0..12)]),
                    3 => drop(bytes.splice(at..at, bytes[at..].to_vec())),
                    _ => {
                        let other = &corpus[random.random_range(0..corpus.len())];
                        bytes.truncate(at);
                        bytes.extend_from_slice(&other[random.random_range(0..=other.len())..]);
                    }
                }
            }
            bytes.truncate(16 * 1024);
            entry(&bytes);
        }
    }

    #[test]
    fn known_hosts() {
        replay("known_hosts", super::known_hosts);
    }

    #[test]
    fn settings() {
        replay("settings", super::settings);
    }

    #[test]
    fn gather() {
        replay("gather", super::gather);
    }

    #[test]
    fn stream() {
        replay("stream", super::stream);
    }

    #[test]
    fn engine_api() {
        replay("engine_api", super::engine_api);
    }
}
