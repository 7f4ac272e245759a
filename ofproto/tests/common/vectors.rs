//! Loads annotated vectors: hexadecimal bytes, `#` begins a comment, an empty line
//! ends a message. The first comment of a message is its name.

use bytes::Bytes;
use std::path::Path;

/// One message of a file.
pub struct Vector {
    /// `file: first comment`.
    pub name: String,
    /// The whole frame.
    pub frame: Bytes,
    /// What the comments say of each byte: the comment of its line, or else that above.
    pub says: Vec<String>,
}

/// Every message of every file in `ofproto/tests/vectors`, in the order of names.
pub fn all() -> Vec<Vector> {
    // From the folder of whichever package includes this file.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ofproto/tests/vectors");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of vectors is there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
        .collect();
    files.sort();
    let vectors: Vec<Vector> = files.iter().flat_map(|file| load(file)).collect();
    assert!(!vectors.is_empty(), "no vectors in {}", folder.display());
    vectors
}

fn load(file: &Path) -> Vec<Vector> {
    let text = std::fs::read_to_string(file).expect("a readable vector");
    let stem = file
        .file_stem()
        .expect("a file has a name")
        .to_string_lossy()
        .into_owned();
    let mut vectors = Vec::new();
    for paragraph in text.split("\n\n") {
        let (mut bytes, mut says) = (Vec::new(), Vec::new());
        let (mut title, mut last) = (None, String::new());
        for (number, line) in paragraph.lines().enumerate() {
            let (hex, comment) = line.split_once('#').unwrap_or((line, ""));
            title = title.or_else(|| Some(comment.trim().to_owned()).filter(|text| !text.is_empty()));
            if !comment.trim().is_empty() {
                last = comment.trim().to_owned();
            }
            for word in hex.split_whitespace() {
                let byte = u8::from_str_radix(word, 16)
                    .unwrap_or_else(|_| panic!("{stem}: {word:?} is not a byte (line {number} of its message)"));
                bytes.push(byte);
                says.push(last.clone());
            }
        }
        if !bytes.is_empty() {
            let name = format!("{stem}: {}", title.unwrap_or_default());
            vectors.push(Vector {
                name,
                frame: bytes.into(),
                says,
            });
        }
    }
    vectors
}
