//! The parsers of what others write (hosts, users' files, Engines), as functions from bytes: entries for the fuzz targets of
//! tests/fuzz, each with the properties that must hold for any input. They exist under cargo-fuzz and in unit tests alone, so
//! nothing of the crate's interface is wider for them; below, a short run of each replays its corpus.

/// Files of known hosts: the first line is the server's name, the rest the file.
pub fn known_hosts(bytes: &[u8]) {
    crate::transport::fuzzing::known_hosts(bytes);
}

/// What `ssh -G` prints, and a configuration file behind a NUL.
pub fn settings(bytes: &[u8]) {
    crate::transport::fuzzing::settings(bytes);
}

/// A gather's output: wholly the host's own (first byte even), or one file's content in an honest host's (odd).
pub fn gather(bytes: &[u8]) {
    for words in crate::runner::gather::fuzzing::gather(bytes) {
        let shown = crate::report::literal(&words);
        assert!(
            !shown.contains('\u{1b}') && !shown.contains('\r'),
            "{shown:?}"
        );
    }
}

/// The stream of a command: markers, noise and output, cut into pieces.
pub fn stream(bytes: &[u8]) {
    crate::transport::fuzzing::stream(bytes);
}

/// What an Engine answers to two requests.
pub fn engine_api(bytes: &[u8]) {
    crate::docker::fuzzing::engine_api(bytes);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use rand::{RngExt, SeedableRng, rngs::StdRng};

    /// Replays a target's corpus, then changed copies of it: bytes turned over, cut, doubled, spliced. The same ones each time.
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
