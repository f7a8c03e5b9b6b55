//! Prices with discounts and tax, to the last minor unit.
//!
//! The one rule: a quote is made once, here, and every view (cart, invoice, PDF, API) shows its numbers. Rounding is
//! half away from zero; what a total was rounded to is shared out over its lines so that they sum exactly.

use serde::{Deserialize, Serialize};

use super::money::{Money, MoneyError, PPM, allocate};

/// How tax relates to a price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxTreatment {
    /// Comes on top.
    #[default]
    Exclusive,
    /// Is in it.
    Inclusive,
    /// There is none.
    Exempt,
}

/// Where tax is rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxRounding {
    /// Once for each rate of the whole document.
    #[default]
    Invoice,
    /// On each line.
    Line,
}

/// Something with a price, before discount and tax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is, for people.
    pub description: String,
    /// Quantity times unit price; negative for a credit.
    pub amount: Money,
    /// How tax relates to it.
    pub treatment: TaxTreatment,
    /// Parts per million: 75,000 is 7.5 %.
    pub tax_ppm: u32,
}

/// Something taken off, before tax; never below zero, and what is left of it is no credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discount {
    /// Parts per million of the price.
    Percent(u32),
    /// An amount of the document.
    Fixed(Money),
}

/// Items with everything worked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// A line for each item, in order.
    pub lines: Vec<QuoteLine>,
    /// Sum of the lines' nets, after discounts.
    pub net: Money,
    /// What discounts took off, in terms of the prices as they were given.
    pub discount: Money,
    /// Tax by rate, lowest first; exempt lines are in none.
    pub taxes: Vec<TaxSum>,
    /// Sum of the taxes.
    pub tax: Money,
    /// What is to be paid: net and tax.
    pub total: Money,
}

/// One line of a quote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteLine {
    /// What it is.
    pub description: String,
    /// The price as it was given.
    pub price: Money,
    /// What discounts took off it.
    pub discount: Money,
    /// Without tax, after discounts.
    pub net: Money,
    /// How tax relates to the price.
    pub treatment: TaxTreatment,
    /// Parts per million.
    pub tax_ppm: u32,
    /// Its part of the tax.
    pub tax: Money,
    /// Net and tax.
    pub total: Money,
}

/// The tax of one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxSum {
    /// Parts per million.
    pub tax_ppm: u32,
    /// The nets it is on.
    pub base: Money,
    /// How much.
    pub tax: Money,
}

/// `7.5%`, or `7.5`: a percentage with at most four decimals as parts per million.
///
/// # Errors
/// A sentence for whoever wrote it.
pub fn percent_ppm(text: &str) -> Result<u32, &'static str> {
    const FAULT: &str = "must be a percentage from 0% to 100% with at most four decimals, as 7.5%";
    let number = text.trim().trim_end_matches('%').trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !plain(whole) || !plain(fraction) || fraction.len() > 4 {
        return Err(FAULT);
    }
    let fraction: u32 = format!("{fraction:0<4}").parse().map_err(|_| FAULT)?;
    let ppm = whole.parse::<u32>().ok().and_then(|whole| whole.checked_mul(10_000)?.checked_add(fraction));
    ppm.filter(|ppm| *ppm <= 1_000_000).ok_or(FAULT)
}

/// Works out a quote: percent discounts first, then fixed ones, then tax.
///
/// # Errors
/// No items, two currencies, a rate above 100 %, or amounts beyond 64 bits.
pub fn quote(items: Vec<Item>, discounts: &[Discount], rounding: TaxRounding) -> Result<Quote, MoneyError> {
    let Some(first) = items.first() else { return Err(MoneyError::NotANumber) };
    let zero = Money::zero(first.amount.currency);
    let prices: Vec<Money> = items.iter().map(|item| item.amount).collect();
    let after = discounted(&prices, discounts, zero)?;
    let mut lines = Vec::with_capacity(items.len());
    for (item, after) in items.into_iter().zip(after) {
        if item.tax_ppm > 1_000_000 {
            return Err(MoneyError::TooLarge);
        }
        let discount = item.amount.checked_sub(after)?;
        let tax = match item.treatment {
            TaxTreatment::Exempt => zero,
            TaxTreatment::Exclusive => after.scaled(i64::from(item.tax_ppm), PPM)?,
            TaxTreatment::Inclusive => {
                after.scaled(i64::from(item.tax_ppm), PPM + i64::from(item.tax_ppm))?
            }
        };
        let net = match item.treatment {
            TaxTreatment::Inclusive => after.checked_sub(tax)?,
            TaxTreatment::Exclusive | TaxTreatment::Exempt => after,
        };
        let total = net.checked_add(tax)?;
        lines.push(QuoteLine {
            description: item.description,
            price: item.amount,
            discount,
            net,
            treatment: item.treatment,
            tax_ppm: if item.treatment == TaxTreatment::Exempt { 0 } else { item.tax_ppm },
            tax,
            total,
        });
    }
    if rounding == TaxRounding::Invoice {
        round_by_document(&mut lines, zero)?;
    }
    summed(lines, zero)
}

/// The prices after discounts: a fixed one is shared out by what the lines come to.
fn discounted(prices: &[Money], discounts: &[Discount], zero: Money) -> Result<Vec<Money>, MoneyError> {
    let mut after = prices.to_vec();
    for discount in discounts {
        if let Discount::Percent(ppm) = discount {
            for one in after.iter_mut().filter(|one| one.minor > 0) {
                let off = one.scaled(i64::from((*ppm).min(1_000_000)), PPM)?;
                *one = one.checked_sub(off)?;
            }
        }
    }
    for discount in discounts {
        if let Discount::Fixed(off) = discount {
            zero.checked_add(*off)?;
            let weights: Vec<u64> = after.iter().map(|one| u64::try_from(one.minor).unwrap_or(0)).collect();
            let whole =
                after.iter().filter(|one| one.minor > 0).try_fold(zero, |sum, one| sum.checked_add(*one))?;
            let off = Money { minor: off.minor.clamp(0, whole.minor), ..*off };
            for (one, part) in after.iter_mut().zip(allocate(off, &weights)?) {
                *one = one.checked_sub(part)?;
            }
        }
    }
    Ok(after)
}

/// Exclusive tax is rounded once for each rate and shared out over its lines by their nets; lines whose tax is
/// in the price keep theirs, since the price is what was promised.
fn round_by_document(lines: &mut [QuoteLine], zero: Money) -> Result<(), MoneyError> {
    let mut rates: Vec<u32> = lines.iter().map(|line| line.tax_ppm).collect();
    rates.sort_unstable();
    rates.dedup();
    for rate in rates {
        let mut of_rate: Vec<&mut QuoteLine> = lines
            .iter_mut()
            .filter(|line| line.tax_ppm == rate && line.treatment == TaxTreatment::Exclusive)
            .collect();
        if of_rate.is_empty() {
            continue;
        }
        let base = of_rate.iter().try_fold(zero, |sum, line| sum.checked_add(line.net))?;
        let tax = base.scaled(i64::from(rate), PPM)?;
        if of_rate.iter().any(|line| line.net.minor < 0) {
            // A credit beside a charge: each keeps its own, and the last one takes the difference.
            let own = of_rate.iter().try_fold(zero, |sum, line| sum.checked_add(line.tax))?;
            let difference = tax.checked_sub(own)?;
            if let Some(last) = of_rate.last_mut() {
                last.tax = last.tax.checked_add(difference)?;
                last.total = last.net.checked_add(last.tax)?;
            }
            continue;
        }
        let weights: Vec<u64> =
            of_rate.iter().map(|line| u64::try_from(line.net.minor).unwrap_or(0)).collect();
        for (line, part) in of_rate.iter_mut().zip(allocate(tax, &weights)?) {
            line.tax = part;
            line.total = line.net.checked_add(part)?;
        }
    }
    Ok(())
}

fn summed(lines: Vec<QuoteLine>, zero: Money) -> Result<Quote, MoneyError> {
    let (mut net, mut discount, mut tax) = (zero, zero, zero);
    let mut taxes: Vec<TaxSum> = Vec::new();
    for line in &lines {
        net = net.checked_add(line.net)?;
        discount = discount.checked_add(line.discount)?;
        tax = tax.checked_add(line.tax)?;
        if line.treatment == TaxTreatment::Exempt || line.tax_ppm == 0 {
            continue;
        }
        match taxes.iter_mut().find(|sum| sum.tax_ppm == line.tax_ppm) {
            Some(sum) => {
                sum.base = sum.base.checked_add(line.net)?;
                sum.tax = sum.tax.checked_add(line.tax)?;
            }
            None => taxes.push(TaxSum { tax_ppm: line.tax_ppm, base: line.net, tax: line.tax }),
        }
    }
    taxes.sort_unstable_by_key(|sum| sum.tax_ppm);
    let total = net.checked_add(tax)?;
    Ok(Quote { lines, net, discount, taxes, tax, total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    fn ngn(minor: i64) -> Money {
        Money { minor, currency: Currency::parse("NGN").unwrap() }
    }

    fn item(minor: i64, treatment: TaxTreatment) -> Item {
        Item { description: "x".into(), amount: ngn(minor), treatment, tax_ppm: 75_000 }
    }

    fn taxes(quote: &Quote) -> Vec<i64> {
        quote.lines.iter().map(|line| line.tax.minor).collect()
    }

    #[test]
    fn rule_3_exclusive_tax_is_rounded_once_a_rate_and_shared_out() {
        let items = || vec![item(100, TaxTreatment::Exclusive); 3];
        let by_document = quote(items(), &[], TaxRounding::Invoice).unwrap();
        assert_eq!((by_document.tax.minor, by_document.total.minor), (23, 323));
        assert_eq!(taxes(&by_document), [8, 8, 7]);
        let by_line = quote(items(), &[], TaxRounding::Line).unwrap();
        assert_eq!((by_line.tax.minor, by_line.total.minor), (24, 324));
    }

    #[test]
    fn rule_4_inclusive_tax_is_taken_out_of_the_price() {
        for (gross, tax, net) in
            [(10_000, 698, 9_302), (100, 7, 93), (107_500, 7_500, 100_000), (99_999, 6_977, 93_022)]
        {
            let quote = quote(vec![item(gross, TaxTreatment::Inclusive)], &[], TaxRounding::Invoice).unwrap();
            assert_eq!((quote.tax.minor, quote.net.minor, quote.total.minor), (tax, net, gross));
        }
    }

    #[test]
    fn rule_5_discounts_come_before_tax_and_never_below_zero() {
        let one = |minor| vec![item(minor, TaxTreatment::Exclusive)];
        let percent = quote(one(9_999), &[Discount::Percent(150_000)], TaxRounding::Invoice).unwrap();
        assert_eq!((percent.discount.minor, percent.net.minor), (1_500, 8_499));
        assert_eq!((percent.tax.minor, percent.total.minor), (637, 9_136));
        let fixed = quote(one(3_000), &[Discount::Fixed(ngn(5_000))], TaxRounding::Invoice).unwrap();
        assert_eq!((fixed.net.minor, fixed.total.minor, fixed.discount.minor), (0, 0, 3_000));
    }
}
