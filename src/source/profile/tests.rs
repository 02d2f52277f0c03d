use super::*;

use std::io::Cursor;

fn profiled(text: String) -> Profile {
    of_source(Source::from_reader("rows.csv", Cursor::new(text), options()).unwrap()).unwrap()
}

const ROWS: &str = "\
transactionID,accountID,transactionAmountUSD,ipCountryCode,localHour,transactionDateTime
T1,A1,10.5,us,1,2013-04-02T00:00:00
T2,A2,0,us,,2013-04-01T00:00:00
T3,A1,20.5,,x,soon
short,row
T4,A3,-1,gb,4,2013-04-03T23:59:59
";

#[test]
fn a_profile_tells_what_a_run_would_make_of_the_file() {
    insta::assert_snapshot!(profiled(ROWS.to_owned()), @r"
        rows.csv
          layout      some of the 28 columns, separated by commas
          lacks       transactionAmount, transactionCurrencyCode, transactionIPaddress, ipState, ipPostcode,
                      isProxyIP, browserLanguage, paymentInstrumentType, cardType, paymentBillingPostalCode,
                      paymentBillingState, paymentBillingCountryCode, cvvVerifyResult, digitalItemCount,
                      physicalItemCount, accountPostalCode, accountState, accountCountry, accountAge,
                      isUserRegistered, paymentInstrumentAgeInAccount, numPaymentRejects1dPerUser
          rows        5, of which 1 cannot be read
          documents   736 bytes on average, 723 to 741
          dates       2013-04-01T00:00:00 to 2013-04-03T23:59:59
          amounts     7.50 USD on average, -1.00 to 20.50; p50 0.00, p90 20.50, p99 20.50
                      zero: 1, negative: 1
          accounts    about 3, by accountID

        ipCountryCode, the partition key: 3 codes, of which `us` has 50.0 % of the rows
          us               2   50.0 %  ████████████████████████████████████████
          gb               1   25.0 %  ████████████████████
          unk              1   25.0 %  ████████████████████

        Cells without a number, a boolean or a date: sent as 0, false or an empty string, or with --strict not at all
          localHour            1 empty, 1 unreadable, the first one `x` in line 4
          transactionDateTime  0 empty, 1 unreadable, the first one `soon` in line 4

        Rows that cannot be read, and are not sent
          line 5: 2 fields, where the header has 6
        ");
}

#[test]
fn a_profile_has_its_figures_in_json() {
    let profile = serde_json::to_value(profiled(ROWS.to_owned())).unwrap();
    assert_eq!(profile["rows"], 5);
    assert_eq!(profile["rejected_rows"], 1);
    assert_eq!(profile["first_rejected"][0]["line"], 5);
    assert_eq!(profile["countries"][0], serde_json::json!({"key": "us", "rows": 2, "percent": 50.0}));
    assert_eq!(profile["cells"]["localHour"]["first_unreadable"]["text"], "x");
    assert_eq!(profile["amount_usd"]["mean"], 7.5);
    assert_eq!(profile["layout"], "other");
}

#[test]
fn the_first_rejected_rows_are_reported_and_the_others_counted() {
    let profile = profiled(format!("{ROWS}{}", "bad\n".repeat(100)));
    assert_eq!(profile.rejected_rows, 101);
    assert_eq!(profile.first_rejected.len(), REJECTED_LISTED);
    assert!(profile.to_string().ends_with("\n  and 81 more\n"));
}

#[test]
fn a_flood_of_keys_and_accounts_takes_bounded_memory() {
    let header = "transactionID,accountID,ipCountryCode\n";
    let rows: String = (0..20_000).map(|number| format!("T,A{number},{number}\n")).collect();
    let profile = profiled(format!("{header}{rows}"));
    assert_eq!(profile.countries.len(), KEYS_TOLD_APART);
    assert_eq!(profile.rows_of_other_countries, 10_000);
    assert!((19_800..20_200).contains(&profile.accounts_estimated), "{}", profile.accounts_estimated);
}

#[test]
fn a_file_without_a_readable_row_has_a_profile_too() {
    let profile = profiled("transactionID,accountID,ipCountryCode\nbad\n".to_owned());
    assert_eq!((profile.rows, profile.rejected_rows), (1, 1));
    assert!(profile.countries.is_empty() && profile.document_bytes.is_none() && profile.amount_usd.is_none());
    assert!(profile.to_string().contains("1, of which 1 cannot be read"));
}

#[test]
fn a_file_of_something_else_has_no_profile() {
    let options = SourceOptions {
        run: RunId::random(),
        ttl_seconds: 1,
        strict: false,
        repeat: false,
        shard: Shard::WHOLE,
        keep_records: false,
    };
    assert!(Source::from_reader("rows.csv", Cursor::new("{}"), options).is_err());
    assert!(profile(Path::new("no such file")).is_err());
}
