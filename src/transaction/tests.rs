use super::*;

/// The document of one row under this header, the replaced cells, and the partition key.
fn record(cells: &[(&str, &str)], strict: bool) -> Result<(String, CellReport, Arc<str>), BadCell> {
    let columns = Columns::find(cells.iter().map(|(name, _)| *name)).unwrap();
    let run = "0b5c1f6e-93d2-8a47".parse().unwrap();
    let mut writer = RecordWriter::new(columns, run, 60, DecimalMark::Point, strict);
    let mut text = String::new();
    let mut ends = Vec::new();
    for (_, cell) in cells {
        text.push_str(cell);
        ends.push(text.len());
    }
    let mut report = CellReport::default();
    let cells = Cells::new(text.as_bytes(), &ends).unwrap();
    let transaction = writer.write(7, 8, &cells, &mut report)?;
    assert_eq!(transaction.row, 7);
    Ok((String::from_utf8(transaction.body.to_vec()).unwrap(), report, transaction.partition_key))
}

const REQUIRED: [(&str, &str); 3] = [("transactionID", "T1"), ("accountID", "A1"), ("ipCountryCode", "us")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    REQUIRED.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn a_full_row_becomes_a_document_of_exactly_these_bytes() {
    let values = [
        "E30414B0",
        "A31",
        "102.314394",
        "5499.0",
        "INR",
        "12",
        "59.176",
        "delhi",
        "0",
        "in",
        "FALSE",
        "en-IN",
        "CREDITCARD",
        "VISA",
        "110057",
        "DL",
        "IN",
        "N",
        "1",
        "0",
        "110 057",
        "Delhi",
        "IN",
        "2000",
        "TRUE",
        "6.94444E-4",
        "0",
        "2013-08-15T06:55:00",
    ];
    let cells: Vec<_> = COLUMNS.iter().map(|column| column.name).zip(values).collect();
    let (document, report, key) = record(&cells, true).unwrap();
    assert_eq!(
        document,
        r#"{"id":"0b5c1f6e-93d2-8a47-8000-000000000007","transactionID":"E30414B0","accountID":"A31","#.to_owned()
            + r#""transactionAmountUSD":102.314394,"transactionAmount":5499.0,"transactionCurrencyCode":"INR","#
            + r#""localHour":12,"transactionIPaddress":"59.176","ipState":"delhi","ipPostcode":"0","#
            + r#""ipCountryCode":"in","isProxyIP":false,"browserLanguage":"en-IN","#
            + r#""paymentInstrumentType":"CREDITCARD","cardType":"VISA","paymentBillingPostalCode":"110057","#
            + r#""paymentBillingState":"DL","paymentBillingCountryCode":"IN","cvvVerifyResult":"N","#
            + r#""digitalItemCount":1,"physicalItemCount":0,"accountPostalCode":"110 057","accountState":"Delhi","#
            + r#""accountCountry":"IN","accountAge":2000,"isUserRegistered":true,"#
            + r#""paymentInstrumentAgeInAccount":0.000694444,"numPaymentRejects1dPerUser":0,"#
            + r#""transactionDateTime":"2013-08-15T06:55:00","ttl":60,"collectionType":"Transaction"}"#
    );
    assert_eq!(report, CellReport::default());
    assert_eq!(&*key, "in");
}

#[test]
fn columns_that_a_file_lacks_have_values_of_their_type_and_count_as_nothing_wrong() {
    let (document, report, _) = record(&with(&[]), true).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["accountAge"], 0);
    assert_eq!(document["isUserRegistered"], false);
    assert_eq!(document["accountState"], "");
    assert_eq!(document["paymentInstrumentAgeInAccount"], 0.0);
    assert_eq!(document["transactionDateTime"], "");
    assert_eq!(report.columns().count(), 0);
}

#[test]
fn empty_and_unreadable_cells_are_replaced_and_counted_by_column() {
    let cells = with(&[
        ("localHour", " "),
        ("transactionAmount", "12,50"),
        ("isProxyIP", "perhaps"),
        ("transactionDateTime", "soon"),
    ]);
    let (document, report, _) = record(&cells, false).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["localHour"], 0);
    assert_eq!(document["transactionAmount"], 0.0);
    assert_eq!(document["isProxyIP"], false);
    assert_eq!(document["transactionDateTime"], "");
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        serde_json::json!({
            "transactionAmount":
                {"empty": 0, "unreadable": 1, "first_unreadable": {"line": 8, "text": "12,50"}},
            "localHour": {"empty": 1, "unreadable": 0},
            "isProxyIP": {"empty": 0, "unreadable": 1, "first_unreadable": {"line": 8, "text": "perhaps"}},
            "transactionDateTime":
                {"empty": 0, "unreadable": 1, "first_unreadable": {"line": 8, "text": "soon"}},
        })
    );
    assert_eq!((report.empty(), report.unreadable()), (1, 3));
}

#[test]
fn a_strict_reading_refuses_the_row_and_names_the_cell() {
    let refused = |name, cell| record(&with(&[(name, cell)]), true).unwrap_err().to_string();
    assert_eq!(refused("transactionAmount", "12,50"), "transactionAmount `12,50` is not a number");
    assert_eq!(refused("localHour", ""), "localHour is empty");
    assert_eq!(refused("isProxyIP", "?"), "isProxyIP `?` is not TRUE or FALSE");
}

#[test]
fn the_raw_layout_joins_date_and_time() {
    let moment = |date, time| {
        let (document, report, _) =
            record(&with(&[("transactionDate", date), ("transactionTime", time)]), false).unwrap();
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        (document["transactionDateTime"].as_str().unwrap().to_owned(), report.empty(), report.unreadable())
    };
    assert_eq!(moment("20130409", "95040"), ("2013-04-09T09:50:40".to_owned(), 0, 0));
    assert_eq!(moment("20130409", "995040"), (String::new(), 0, 1));
    assert_eq!(moment("", ""), (String::new(), 1, 0));
}

#[test]
fn a_row_without_a_country_has_the_key_unk() {
    for empty in ["", "  "] {
        let cells = [REQUIRED[0], REQUIRED[1], ("ipCountryCode", empty)];
        let (document, report, key) = record(&cells, true).unwrap();
        assert!(document.contains(r#""ipCountryCode":"unk""#));
        assert_eq!(&*key, "unk");
        assert_eq!(report, CellReport::default());
    }
}

#[test]
fn texts_are_kept_as_they_stand_and_escaped_for_json() {
    let odd = " \"quoted\"\\ \n\t\u{1} Zürich 東京 \u{7f} ";
    let (document, ..) = record(&with(&[("ipState", odd)]), true).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["ipState"], odd);
}

#[test]
fn rows_of_a_country_share_one_key_and_a_flood_of_keys_is_not_remembered() {
    let mut keys = HashSet::new();
    assert!(Arc::ptr_eq(&shared_key(&mut keys, "us"), &shared_key(&mut keys, "us")));
    for number in 0..10_000 {
        shared_key(&mut keys, &number.to_string());
    }
    assert_eq!(keys.len(), 4096);
    assert_eq!(&*shared_key(&mut keys, "9999"), "9999");
}

#[test]
fn a_cell_that_is_not_utf8_is_found() {
    assert_eq!(Cells::new(b"ab\xffc", &[2, 4]).unwrap_err(), 2);
    // The two bytes of é, one in each cell.
    assert_eq!(Cells::new("é".as_bytes(), &[1, 2]).unwrap_err(), 1);
    assert!(Cells::new("é€".as_bytes(), &[2, 5]).is_ok());
}
