//! Images for lab nodes, which reach no registry: each node builds them from a few programs of its
//! own.

use crate::test_lab::TestLab;

/// Builds an image of `sh`, `sleep` and `cat` with the libraries that they need.
const MAKE: &str = r#"set -e
d=$(mktemp -d)
for program in /bin/sh /bin/sleep /bin/cat; do
  for file in $program $(ldd $program | grep -o '/[^ )]*'); do mkdir -p "$d$(dirname "$file")"; cp -L "$file" "$d$file"; done
done
tar -C "$d" -c . | docker import - IMAGE >/dev/null
rm -r "$d""#;

/// Builds an image of a few megabytes on each of these nodes. The Engine must run there.
pub fn make_small_image(lab: &TestLab, nodes: &[&str], image: &str) {
    std::thread::scope(|scope| {
        for node in nodes {
            scope.spawn(move || lab.on(node, &MAKE.replace("IMAGE", image)));
        }
    });
}
