//! What the shipped static model makes of text as people write it, by kinds, each with the bound that it must keep: of the first 384
//! dimensions, and of all.

mod texts_without_words;

use std::collections::HashMap;

use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::models::static_table::StaticTable;
use embedder_wasm::tokenizers::hashed_rows::{WORD_KEY, hash};
use texts_without_words::TEXTS_WITHOUT_WORDS;

const SEMANTIC_DIMENSIONS: usize = 384;

fn model() -> StaticTable {
    let bytes = std::fs::read("../model/model-weights.bin").unwrap();
    StaticTable::from_file(WeightsFile::from_bytes(bytes).unwrap()).unwrap()
}

/// The cosines of two texts in the first dimensions and in all of them.
fn cosines(model: &StaticTable, a: &str, b: &str) -> [f32; 2] {
    [SEMANTIC_DIMENSIONS, model.info().dimensions].map(|dimensions| {
        let [a, b] = [a, b].map(|text| {
            let mut embedding = vec![0.0; dimensions];
            model.embed(text, &mut Default::default(), &mut embedding);
            embedding
        });
        a.iter().zip(&b).map(|(a, b)| a * b).sum()
    })
}

fn assert_each_at_least(pairs: &[(&str, &str)], least: [f32; 2]) {
    let model = model();
    for (a, b) in pairs {
        assert_ne!(a, b);
        for (cosine, least) in cosines(&model, a, b).into_iter().zip(least) {
            assert!(cosine >= least, "{a:?} and {b:?}: {cosine}");
        }
    }
}

fn assert_each_at_most(pairs: &[(&str, &str)], most: [f32; 2]) {
    let model = model();
    for (a, b) in pairs {
        for (cosine, most) in cosines(&model, a, b).into_iter().zip(most) {
            assert!(cosine <= most, "{a:?} and {b:?}: {cosine}");
        }
    }
}

fn mean_cosines(pairs: &[(&str, &str)]) -> [f32; 2] {
    let model = model();
    let all = pairs.iter().map(|(a, b)| cosines(&model, a, b));
    let sums = all.fold([0.0, 0.0], |sum, [first, second]| {
        [sum[0] + first, sum[1] + second]
    });
    sums.map(|sum| sum / pairs.len() as f32)
}

/// By one rounding of f32.
const EQUAL: f32 = 1.0 - 1e-5;

const THE_SAME_TEXT: &[(&str, &str)] = &[
    ("cafe\u{301} menu", "café menu"),
    ("Zu\u{308}rich airport", "Zürich airport"),
    ("inter\u{AD}national law", "international law"),
    ("oﬃce supplies", "office supplies"),
    ("ﬂight delay", "flight delay"),
    ("ｐａｓｓｗｏｒｄ ｒｅｓｅｔ", "password reset"),
    ("re\u{200B}set my pass\u{200B}word", "reset my password"),
    ("soft\u{2060}ware update", "software update"),
    ("data\u{200D}base index", "database index"),
    ("\u{FEFF}hello world", "hello world"),
    ("𝐢𝐦𝐩𝐨𝐫𝐭𝐚𝐧𝐭 𝐧𝐨𝐭𝐢𝐜𝐞", "important notice"),
    ("10 ㎏ of rice", "10 kg of rice"),
    ("angstro\u{308}m scale", "angström scale"),
    ("e\u{301}cole normale", "école normale"),
    ("sen\u{303}or", "señor"),
    ("２０２６ ｒｅｐｏｒｔ", "2026 report"),
    ("chapter Ⅷ", "chapter VIII"),
    ("co\u{AD}op\u{AD}er\u{AD}ation", "cooperation"),
    ("no\u{A0}break space", "no break space"),
    ("it’s working", "it's working"),
    ("ℌello world", "Hello world"),
    ("step ① of ③", "step 1 of 3"),
    ("ＨＴＴＰ ｅｒｒｏｒ ４０４", "HTTP error 404"),
    ("water H₂O", "water H2O"),
];

#[test]
fn text_that_looks_the_same_has_the_same_vector() {
    assert_each_at_least(THE_SAME_TEXT, [EQUAL, EQUAL]);
}

const ACCENTS: &[(&str, &str)] = &[
    ("Dvořák concerto", "Dvorak concerto"),
    ("naïve Bayes", "naive Bayes"),
    ("résumé template", "resume template"),
    ("São Paulo", "Sao Paulo"),
    ("Zürich", "Zurich"),
    ("Škoda Octavia", "Skoda Octavia"),
    ("Łódź", "Lodz"),
    ("Øresund bridge", "Oresund bridge"),
    ("Straße", "Strasse"),
    ("façade", "facade"),
    ("jalapeño", "jalapeno"),
    ("crème brûlée", "creme brulee"),
    ("Gödel", "Godel"),
    ("piñata party", "pinata party"),
    ("Málaga", "Malaga"),
    ("Beyoncé", "Beyonce"),
    ("Pokémon", "Pokemon"),
    ("Erdős number", "Erdos number"),
    ("Poincaré conjecture", "Poincare conjecture"),
    ("Bézier curve", "Bezier curve"),
    ("Schrödinger equation", "Schrodinger equation"),
    ("déjà vu", "deja vu"),
    ("Tromsø", "Tromso"),
    ("Đà Nẵng", "Da Nang"),
];

#[test]
fn accents_make_no_difference() {
    assert_each_at_least(ACCENTS, [EQUAL, EQUAL]);
}

const ANOTHER_TEXT: &[(&str, &str)] = &[
    ("programming in C", "programming in C++"),
    ("programming in C", "programming in C#"),
    ("C++ compiler", "C# compiler"),
    ("F# tutorial", "F tutorial"),
    ("due 2025-03-04", "due 2025-04-03"),
    ("on 01/02/2024", "on 02/01/2024"),
    ("host 192.168.1.10", "host 192.168.10.1"),
    ("version 1.2.3", "version 3.2.1"),
    ("costs $1,300,000", "costs $3,100,000"),
    ("-15 degrees", "15 degrees"),
    ("y > 10", "y < 10"),
    ("a <= b", "a >= b"),
    ("blood type A+", "blood type A-"),
    ("blood type AB+", "blood type AB-"),
    ("feeling 😀", "feeling 😢"),
    ("I ❤ it", "I 💔 it"),
    ("price $20", "price €20"),
    ("grew 5%", "grew 5"),
    ("a + b", "a * b"),
    ("x = 1", "x ~ 1"),
    ("at 10:30", "at 30:10"),
    ("ratio 3/4", "ratio 4/3"),
    ("pi is 3.14", "pi is 14.3"),
    ("-1", "1"),
    ("🇩🇪", "🇫🇷"),
    ("→ next", "← next"),
];

#[test]
fn text_that_says_something_else_has_another_vector() {
    assert_each_at_most(ANOTHER_TEXT, [0.99, 0.95]);
}

const JOINED_OR_APART: &[(&str, &str)] = &[
    ("findElementByName", "find element by name"),
    ("XMLHttpRequest", "xml http request"),
    ("parseJSONResponse", "parse json response"),
    ("snake_case_name", "snake case name"),
    ("isEmptyString", "is empty string"),
    ("setBackgroundColor", "set background color"),
    ("5m rope", "5 m rope"),
    ("250mg tablet", "250 mg tablet"),
    ("10km run", "10 km run"),
    ("16GB RAM", "16 GB RAM"),
    ("GTX1080 card", "GTX 1080 card"),
    ("GTX1080 card", "GTX-1080 card"),
    ("COVID-19", "COVID 19"),
    ("iOS17 update", "iOS 17 update"),
    ("1,250,000 users", "1250000 users"),
    ("20kg bag", "20 kg bag"),
    ("state-of-the-art", "state of the art"),
    ("100% cotton", "100 % cotton"),
    ("$25 fee", "$ 25 fee"),
    ("maxRetryCount", "max retry count"),
    ("userProfilePage", "user profile page"),
    ("60Hz display", "60 Hz display"),
    ("HTTPServerError", "http server error"),
    ("getUserById", "get user by id"),
    ("open-source", "open source"),
    ("file_name.txt", "file name txt"),
];

#[test]
fn what_is_written_joined_or_apart_is_near() {
    assert_each_at_least(JOINED_OR_APART, [0.7, 0.6]);
}

const MISSPELT: &[(&str, &str)] = &[
    (
        "accomodation near the beach",
        "accommodation near the beach",
    ),
    ("adress change", "address change"),
    ("begining of the year", "beginning of the year"),
    ("recieved payment", "received payment"),
    ("seperate invoices", "separate invoices"),
    ("goverment policy", "government policy"),
    ("enviroment variables", "environment variables"),
    ("occured yesterday", "occurred yesterday"),
    ("untill tomorrow", "until tomorrow"),
    ("wich one", "which one"),
    ("buisness hours", "business hours"),
    ("calender event", "calendar event"),
    ("commitee meeting", "committee meeting"),
    ("existance proof", "existence proof"),
    ("fourty days", "forty days"),
    ("independant review", "independent review"),
    ("knowlege base", "knowledge base"),
    ("libary card", "library card"),
    ("maintainance window", "maintenance window"),
    ("neccessary steps", "necessary steps"),
    ("priviledge escalation", "privilege escalation"),
    ("publically available", "publicly available"),
    ("reccomend a book", "recommend a book"),
    ("succesful login", "successful login"),
    ("tommorow morning", "tomorrow morning"),
    ("instalation guide", "installation guide"),
    ("definately", "definitely"),
    ("passwrod", "password"),
];

#[test]
fn misspelt_text_is_near_to_what_is_meant() {
    assert_each_at_least(MISSPELT, [0.4, 0.3]);
    let [semantic, all] = mean_cosines(MISSPELT);
    assert!(semantic >= 0.9 && all >= 0.7, "{semantic}, {all}");
}

const UNRELATED_WORDS: &str = "khan agave certificate overalls bread galaxy lawyer turtle keyboard volcano insulin violin treaty carpet molecule saddle tax owl bridge poem cheese engine coral senator lamp physics wedding shovel";

#[test]
fn words_of_unlike_meaning_are_far_from_each_other() {
    let model = model();
    let words: Vec<&str> = UNRELATED_WORDS.split(' ').collect();
    for (number, a) in words.iter().enumerate() {
        for b in &words[..number] {
            let [semantic, all] = cosines(&model, a, b);
            assert!(
                semantic <= 0.45 && all <= 0.3,
                "{a} and {b}: {semantic}, {all}"
            );
        }
    }
}

/// The words are those of the training pairs, most frequent first (training/keys.py); the program shared_rows shows any that share one.
#[test]
fn no_two_of_the_40_000_most_frequent_words_share_a_row() {
    let model = model();
    let own = model.table_rows().own;
    let mut words_of_rows = HashMap::new();
    let words = include_str!("frequent-words.txt").lines();
    for word in words {
        let row = own.row_of(hash(WORD_KEY, word.as_bytes()));
        let row = row.unwrap_or_else(|| panic!("{word} has no row of its own"));
        let other = words_of_rows.insert(row, word);
        assert_eq!(other, None, "{word} has the row of another");
    }
    assert_eq!(words_of_rows.len(), 40_000);
}

#[test]
fn text_without_a_word_has_a_vector_all_the_same() {
    let model = model();
    for text in TEXTS_WITHOUT_WORDS {
        for dimensions in [SEMANTIC_DIMENSIONS, model.info().dimensions] {
            let mut embedding = vec![0.0; dimensions];
            model.embed(text, &mut Default::default(), &mut embedding);
            let length: f32 = embedding.iter().map(|value| value * value).sum();
            assert!((length - 1.0).abs() < 1e-4, "{text:?}: {length}");
        }
    }
}
