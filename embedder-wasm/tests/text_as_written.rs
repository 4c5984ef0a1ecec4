//! The tokenizer text-as-written, by kinds of text that people write.

mod texts_without_words;

use std::collections::BTreeMap;

use embedder_wasm::tokenizers::text_as_written::{Kind, for_each_token};
use embedder_wasm::tokenizers::text_folding::fold;
use proptest::prelude::*;
use texts_without_words::TEXTS_WITHOUT_WORDS;
use unicode_normalization::UnicodeNormalization;

fn tokens(text: &str) -> Vec<(Kind, String)> {
    let mut tokens = Vec::new();
    for_each_token(text, usize::MAX, |kind, text| {
        tokens.push((kind, text.to_string()));
        true
    });
    tokens
}

/// The cosine of the counts of tokens, a whole counted as much as a part.
fn cosine(a: &str, b: &str) -> f64 {
    let counts = |text: &str| {
        let mut counts = BTreeMap::new();
        tokens(text)
            .into_iter()
            .for_each(|(_, token)| *counts.entry(token).or_insert(0.0) += 1.0);
        counts
    };
    let (a, b) = (counts(a), counts(b));
    let product = |x: &BTreeMap<String, f64>, y: &BTreeMap<String, f64>| -> f64 {
        x.iter()
            .map(|(token, count)| count * y.get(token).unwrap_or(&0.0))
            .sum()
    };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

fn assert_equal(pairs: &[(&str, &str)]) {
    assert!(pairs.len() >= 20);
    for (a, b) in pairs {
        assert_ne!(a, b);
        assert!(!tokens(a).is_empty(), "{a:?}");
        assert_eq!(tokens(a), tokens(b), "{a:?} {b:?}");
    }
}

#[test]
fn text_that_looks_the_same_has_the_same_tokens() {
    assert_equal(&[
        ("nai\u{308}ve", "naïve"),
        ("cafe\u{301}", "café"),
        ("quan\u{AD}tity", "quantity"),
        ("\u{FB01}nance", "finance"),
        ("o\u{FB03}ce", "office"),
        ("ＡＰＩ ｋｅｙ", "API key"),
        ("zero\u{200B}width", "zerowidth"),
        ("non\u{200D}joiner", "nonjoiner"),
        ("non\u{200C}joiner", "nonjoiner"),
        ("\u{FEFF}start", "start"),
        ("word\u{2060}joiner", "wordjoiner"),
        ("a\u{323}\u{302}b", "a\u{302}\u{323}b"),
        ("\u{212B}ngstrom", "Ångstrom"),
        ("5 \u{2126}", "5 Ω"),
        ("각", "\u{1100}\u{1161}\u{11A8}"),
        (
            "한국어",
            "\u{1112}\u{1161}\u{11AB}\u{1100}\u{116E}\u{11A8}\u{110B}\u{1165}",
        ),
        ("ｶﾞｽ", "ガス"),
        ("か\u{3099}", "が"),
        ("クﾞラフ", "グラフ"),
        ("４２", "42"),
        ("①", "1"),
        ("x²", "x2"),
        ("㎏", "kg"),
        ("ℌello", "Hello"),
        ("𝐛𝐨𝐥𝐝", "bold"),
        ("Ⅷ", "VIII"),
        ("й", "и\u{306}"),
        ("क\u{93C}", "\u{958}"),
        ("\u{9CB}", "\u{9C7}\u{9BE}"),
        ("no\u{A0}break", "no break"),
        ("☺\u{FE0F}", "☺"),
        ("don\u{2019}t", "don't"),
        ("豈", "\u{F900}"),
        ("\u{2F00}", "一"),
        ("½ cup", "1/2 cup"),
    ]);
}

#[test]
fn accents_that_some_leave_out_make_no_difference() {
    assert_equal(&[
        ("Dvořák", "Dvorak"),
        ("naïve", "naive"),
        ("résumé", "resume"),
        ("São Paulo", "Sao Paulo"),
        ("Zürich", "Zurich"),
        ("Škoda", "Skoda"),
        ("Łódź", "Lodz"),
        ("Øresund", "Oresund"),
        ("smørrebrød", "smorrebrod"),
        ("Straße", "Strasse"),
        ("STRAẞE", "STRASSE"),
        ("Ærø", "Aero"),
        ("œuvre", "oeuvre"),
        ("Đà Nẵng", "Da Nang"),
        ("İstanbul", "Istanbul"),
        ("ısı", "isi"),
        ("façade", "facade"),
        ("piñata", "pinata"),
        ("jalapeño", "jalapeno"),
        ("Gödel", "Godel"),
        ("crème brûlée", "creme brulee"),
        ("ΑΘΉΝΑ", "αθηνα"),
        ("σοφός", "σοφοσ"),
        ("ёлка", "елка"),
        ("الْعَرَبِيَّة", "العربية"),
        ("שָׁלוֹם", "שלום"),
    ]);
}

#[test]
fn text_that_says_something_else_has_other_tokens() {
    let pairs = [
        ("C", "C#"),
        ("C", "C++"),
        ("C++", "C#"),
        ("F", "F#"),
        ("NET", ".NET"),
        ("2024-01-02", "2024-02-01"),
        ("10.0.0.1", "10.0.1.0"),
        ("$2,400,000", "$2,000,400"),
        ("-40 degrees", "40 degrees"),
        ("\u{2212}40 degrees", "40 degrees"),
        ("+5", "5"),
        ("x > 5", "x < 5"),
        ("x>5", "x<5"),
        ("x <= 5", "x >= 5"),
        ("O+", "O-"),
        ("AB+", "AB-"),
        ("A-", "A"),
        ("I feel 😀 today", "I feel 😡 today"),
        ("$5", "€5"),
        ("5%", "5"),
        ("a + b", "a - b"),
        ("1.2.3", "3.2.1"),
        ("12:30", "30:12"),
        ("1/2", "2/1"),
        ("3.14", "14.3"),
        ("🇩🇪", "🇪🇩"),
        ("∑", "∏"),
        ("≤", "≥"),
        ("мой", "мои"),
        ("का", "की"),
        ("が", "か"),
        ("ป่า", "ป้า"),
        ("a = b", "a ~ b"),
        ("@home", "home"),
        ("v1.2", "v2.1"),
        ("-1", "1"),
        ("10^5", "10 5"),
    ];
    for (a, b) in pairs {
        let count = |text: &str| {
            let mut tokens = tokens(text);
            tokens.sort();
            tokens
        };
        assert_ne!(count(a), count(b), "{a:?} {b:?}");
    }
}

#[test]
fn what_is_written_joined_or_apart_is_near() {
    let pairs = [
        ("getUserById", "get user by id"),
        ("XMLHttpRequest", "xml http request"),
        ("parseHTTPResponse", "parse http response"),
        ("snake_case_name", "snake case name"),
        ("kebab-case-name", "kebab case name"),
        ("camelCase", "camel case"),
        ("iPhone", "i phone"),
        ("JavaScript", "java script"),
        ("JavaScript", "javascript"),
        ("getUserById", "getuserbyid"),
        ("3m cable", "3 m cable"),
        ("500mg", "500 mg"),
        ("10km", "10 km"),
        ("16GB RAM", "16 GB RAM"),
        ("RTX4090", "RTX 4090"),
        ("RTX4090", "RTX-4090"),
        ("covid19", "covid 19"),
        ("COVID-19", "covid 19"),
        ("iOS17", "iOS 17"),
        ("2,400,000 users", "2400000 users"),
        ("5kg bag", "5 kg bag"),
        ("MP3 player", "mp 3 player"),
        ("OpenAI", "open ai"),
        ("state-of-the-art", "state of the art"),
        ("100%", "100 %"),
        ("$5", "$ 5"),
        ("Café3", "cafe 3"),
        ("H2O", "h2o"),
        ("user.name", "user name"),
        ("ГОСТ2012", "гост 2012"),
    ];
    for (a, b) in pairs {
        assert!(
            cosine(a, b) >= 0.4,
            "{a:?} {:?} {b:?} {:?}: {}",
            tokens(a),
            tokens(b),
            cosine(a, b)
        );
    }
}

#[test]
fn text_without_a_word_has_tokens_and_text_without_anything_has_none() {
    for text in TEXTS_WITHOUT_WORDS {
        assert!(!tokens(text).is_empty(), "{text:?}");
    }
    for text in [
        "",
        " ",
        "\n\t",
        "\u{200B}",
        "\u{AD}\u{FEFF}",
        "\u{A0}\u{3000}",
        "\0\u{1}",
        "\u{301}",
    ] {
        assert_eq!(tokens(text), [], "{text:?}");
    }
}

#[test]
fn tokens_are_wholes_and_their_parts_in_order() {
    use Kind::*;
    let cases: [(&str, &[(Kind, &str)]); 32] = [
        ("Hello, world!", &[(Word, "hello"), (Word, "world")]),
        (
            "Don't rock 'n' roll",
            &[(Word, "dont"), (Word, "rock"), (Word, "n"), (Word, "roll")],
        ),
        (
            "getUserById",
            &[
                (Whole, "getuserbyid"),
                (Word, "get"),
                (Word, "user"),
                (Word, "by"),
                (Word, "id"),
            ],
        ),
        (
            "HTTPServer",
            &[(Whole, "httpserver"), (Word, "http"), (Word, "server")],
        ),
        ("PDFs URLs", &[(Word, "pdfs"), (Word, "urls")]),
        ("NASA", &[(Word, "nasa")]),
        (
            "RTX4090",
            &[(Whole, "rtx4090"), (Word, "rtx"), (Number, "4090")],
        ),
        ("3m", &[(Whole, "3m"), (Number, "3"), (Word, "m")]),
        ("42", &[(Number, "42")]),
        ("-40", &[(Whole, "-40"), (Number, "40")]),
        ("3-4", &[(Whole, "3-4"), (Number, "3"), (Number, "4")]),
        ("+49 30", &[(Whole, "+49"), (Number, "49"), (Number, "30")]),
        ("$2,400,000.50", &[(Symbol, "$"), (Number, "2400000.50")]),
        ("-1,000", &[(Whole, "-1000"), (Number, "1000")]),
        (
            "2024-01-02",
            &[
                (Whole, "2024-01-02"),
                (Number, "2024"),
                (Number, "01"),
                (Number, "02"),
            ],
        ),
        (
            "10.0.0.1.",
            &[
                (Whole, "10.0.0.1"),
                (Number, "10"),
                (Number, "0"),
                (Number, "0"),
                (Number, "1"),
            ],
        ),
        (
            "v1.2",
            &[(Whole, "v1.2"), (Word, "v"), (Number, "1"), (Number, "2")],
        ),
        (
            "C++ and C#",
            &[
                (Whole, "c++"),
                (Word, "c"),
                (Word, "and"),
                (Whole, "c#"),
                (Word, "c"),
            ],
        ),
        ("a+b", &[(Word, "a"), (Symbol, "+"), (Word, "b")]),
        ("i++", &[(Whole, "i++"), (Word, "i")]),
        (
            "type O- blood",
            &[(Word, "type"), (Whole, "o-"), (Word, "o"), (Word, "blood")],
        ),
        (
            "use .NET now",
            &[(Word, "use"), (Whole, ".net"), (Word, "net"), (Word, "now")],
        ),
        ("end.Next", &[(Word, "end"), (Word, "next")]),
        (
            "x >= 5",
            &[(Word, "x"), (Symbol, ">"), (Symbol, "="), (Number, "5")],
        ),
        (
            "東京都",
            &[
                (Word, "東"),
                (Pair, "東京"),
                (Word, "京"),
                (Pair, "京都"),
                (Word, "都"),
            ],
        ),
        ("GPU東", &[(Word, "gpu"), (Word, "東")]),
        ("हिन्दी", &[(Word, "हिन्दी")]),
        ("мой Їжак", &[(Word, "мои\u{306}"), (Word, "і\u{308}жак")]),
        ("👍🏽", &[(Symbol, "👍")]),
        ("🇩🇪🇫🇷", &[(Symbol, "🇩🇪"), (Symbol, "🇫🇷")]),
        ("{}", &[(Punctuation, "{"), (Punctuation, "}")]),
        (
            "ÉcoleNormale",
            &[(Whole, "ecolenormale"), (Word, "ecole"), (Word, "normale")],
        ),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|(kind, text)| (*kind, text.to_string()))
            .collect();
        assert_eq!(tokens(text), expected, "{text:?}");
    }
}

#[test]
fn every_code_point_folds_as_its_equivalents_do() {
    // Nothing else decomposes, or is decomposed to.
    let characters = ('\0'..='\u{1FFFF}')
        .chain('\u{2F800}'..='\u{2FA1F}')
        .chain('\u{E0000}'..='\u{E0FFF}');
    for character in characters {
        let text = format!("a{character}\u{327}и{character}\u{306}");
        let (composed, decomposed): (String, String) = (text.nfc().collect(), text.nfd().collect());
        let folded = fold(&text);
        assert_eq!(folded, fold(&composed), "{text:?}");
        assert_eq!(folded, fold(&decomposed), "{text:?}");
    }
}

proptest! {
    #[test]
    fn equivalent_texts_fold_equally_and_folded_ones_stay(
        characters in proptest::collection::vec(
            prop_oneof![
                any::<char>(),
                proptest::char::range('\u{A0}', '\u{52F}'),
                proptest::char::range('\u{591}', '\u{6FF}'),
                proptest::char::range('\u{900}', '\u{109F}'),
                proptest::char::range('\u{1100}', '\u{11FF}'),
                proptest::char::range('\u{3040}', '\u{30FF}'),
                proptest::sample::select("иуі\u{306}\u{308}\u{323}\u{34F}\u{3099}\u{93C}\u{94D}\u{E48}\u{E38}".chars().collect::<Vec<_>>()),
            ],
            0..20,
        ),
    ) {
        let text: String = characters.into_iter().collect();
        let folded = fold(&text).into_owned();
        let (composed, decomposed): (String, String) = (text.nfc().collect(), text.nfd().collect());
        prop_assert_eq!(&folded, &fold(&composed));
        prop_assert_eq!(&folded, &fold(&decomposed));
        prop_assert_eq!(&folded, &fold(&folded));
    }

    #[test]
    fn any_text_is_read_to_its_end(text in any::<String>()) {
        for (_, token) in tokens(&format!("{text} last")) {
            prop_assert!(!token.is_empty());
        }
        prop_assert_eq!(tokens(&format!("{text} last")).pop(), Some((Kind::Word, "last".to_string())));
    }
}
