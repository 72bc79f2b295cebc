"""What an e-invoice says, read back from its XML without our writers: the same words for both syntaxes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from lxml import etree

_UBL = {
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}
_CII = {
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
}


@dataclass(frozen=True)
class Told:
    """The terms that a receiver books by."""

    heads: dict[str, str]
    amounts: dict[str, Decimal]
    groups: tuple[tuple[str, Decimal, Decimal, Decimal, str, str], ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]


def read(xml: bytes) -> Told:
    root = etree.fromstring(xml)
    return _of_cii(root) if etree.QName(root).localname == "CrossIndustryInvoice" else _of_ubl(root)


def _text(node: etree._Element, path: str, names: dict[str, str]) -> str:
    found = node.xpath(path, namespaces=names)
    return "" if not found else (found[0] if isinstance(found[0], str) else found[0].text or "")


def _texts(node: etree._Element, path: str, names: dict[str, str]) -> tuple[str, ...]:
    return tuple(each.text or "" for each in node.xpath(path, namespaces=names))


def _number(text: str) -> Decimal:
    return Decimal(text or 0)


def _of_ubl(root: etree._Element) -> Told:
    def at(path: str, node: etree._Element = root) -> str:
        return _text(node, path, _UBL)

    totals = "cac:LegalMonetaryTotal/cbc:"
    heads = {
        "number": at("cbc:ID"),
        "type": at("cbc:InvoiceTypeCode|cbc:CreditNoteTypeCode"),
        "issued": at("cbc:IssueDate").replace("-", ""),
        "due": at("cbc:DueDate|cac:PaymentMeans/cbc:PaymentDueDate").replace("-", ""),
        "currency": at("cbc:DocumentCurrencyCode"),
        "reference": at("cbc:BuyerReference"),
        "order": at("cac:OrderReference/cbc:ID"),
        "contract": at("cac:ContractDocumentReference/cbc:ID"),
        "preceding": at("cac:BillingReference/cac:InvoiceDocumentReference/cbc:ID"),
        "seller": at("cac:AccountingSupplierParty/cac:Party/cac:PartyLegalEntity/cbc:RegistrationName"),
        "buyer": at("cac:AccountingCustomerParty/cac:Party/cac:PartyLegalEntity/cbc:RegistrationName"),
        "seller vat": at("cac:AccountingSupplierParty//cac:PartyTaxScheme[cac:TaxScheme/cbc:ID='VAT']/cbc:CompanyID"),
        "buyer vat": at("cac:AccountingCustomerParty//cac:PartyTaxScheme[cac:TaxScheme/cbc:ID='VAT']/cbc:CompanyID"),
        "seller endpoint": at("cac:AccountingSupplierParty/cac:Party/cbc:EndpointID/@schemeID"),
        "means": at("cac:PaymentMeans/cbc:PaymentMeansCode"),
        "account": at("cac:PaymentMeans/cac:PayeeFinancialAccount/cbc:ID"),
        "mandate": at("cac:PaymentMeans/cac:PaymentMandate/cbc:ID"),
        "debited": at("cac:PaymentMeans/cac:PaymentMandate/cac:PayerFinancialAccount/cbc:ID"),
        "creditor": at("cac:AccountingSupplierParty/cac:Party/cac:PartyIdentification/cbc:ID[@schemeID='SEPA']"),
        "terms": at("cac:PaymentTerms/cbc:Note"),
        "start": at("cac:InvoicePeriod/cbc:StartDate").replace("-", ""),
        "end": at("cac:InvoicePeriod/cbc:EndDate").replace("-", ""),
        "delivered on": at("cac:Delivery/cbc:ActualDeliveryDate").replace("-", ""),
        "delivered": at("cac:Delivery//cac:Country/cbc:IdentificationCode"),
    }
    amounts = {
        "lines": _number(at(f"{totals}LineExtensionAmount")),
        "net": _number(at(f"{totals}TaxExclusiveAmount")),
        "tax": _number(at("cac:TaxTotal/cbc:TaxAmount")),
        "gross": _number(at(f"{totals}TaxInclusiveAmount")),
        "paid": _number(at(f"{totals}PrepaidAmount")),
        "due": _number(at(f"{totals}PayableAmount")),
    }
    groups = tuple(
        (
            at("cac:TaxCategory/cbc:ID", group),
            _number(at("cac:TaxCategory/cbc:Percent", group)),
            _number(at("cbc:TaxableAmount", group)),
            _number(at("cbc:TaxAmount", group)),
            at("cac:TaxCategory/cbc:TaxExemptionReason", group),
            at("cac:TaxCategory/cbc:TaxExemptionReasonCode", group),
        )
        for group in root.xpath("cac:TaxTotal/cac:TaxSubtotal", namespaces=_UBL)
    )
    found = root.xpath("cac:InvoiceLine|cac:CreditNoteLine", namespaces=_UBL)
    lines = tuple(
        (
            at("cbc:ID", line),
            at("cac:Item/cbc:Name", line),
            at("cac:Item/cbc:Description", line),
            at("cbc:InvoicedQuantity|cbc:CreditedQuantity", line),
            at("(cbc:InvoicedQuantity|cbc:CreditedQuantity)/@unitCode", line),
            at("cac:Price/cbc:PriceAmount", line),
            at("cbc:LineExtensionAmount", line),
            at("cac:AllowanceCharge/cbc:Amount", line),
            at("cac:AllowanceCharge/cbc:AllowanceChargeReason", line),
            at("cac:Item/cac:ClassifiedTaxCategory/cbc:ID", line),
            at("cac:Item/cac:ClassifiedTaxCategory/cbc:Percent", line),
            at("cbc:AccountingCost", line),
            at("cac:InvoicePeriod/cbc:StartDate", line).replace("-", ""),
        )
        for line in found
    )
    names = _texts(root, ".//cac:AdditionalItemProperty/cbc:Name", _UBL)
    values = _texts(root, ".//cac:AdditionalItemProperty/cbc:Value", _UBL)
    notes = _texts(root, "cbc:Note", _UBL)
    return Told(heads, amounts, groups, lines, notes, tuple(zip(names, values, strict=True)))


def _of_cii(root: etree._Element) -> Told:
    def at(path: str, node: etree._Element = root) -> str:
        return _text(node, path, _CII)

    trade = "rsm:SupplyChainTradeTransaction/ram:"
    agreement = f"{trade}ApplicableHeaderTradeAgreement/ram:"
    settlement = f"{trade}ApplicableHeaderTradeSettlement/ram:"
    means = f"{settlement}SpecifiedTradeSettlementPaymentMeans/ram:"
    terms = f"{settlement}SpecifiedTradePaymentTerms/ram:"
    totals = f"{settlement}SpecifiedTradeSettlementHeaderMonetarySummation/ram:"
    tax_id = "TradeParty/ram:SpecifiedTaxRegistration/ram:ID[@schemeID='VA']"
    heads = {
        "number": at("rsm:ExchangedDocument/ram:ID"),
        "type": at("rsm:ExchangedDocument/ram:TypeCode"),
        "issued": at("rsm:ExchangedDocument/ram:IssueDateTime/udt:DateTimeString"),
        "due": at(f"{terms}DueDateDateTime/udt:DateTimeString"),
        "currency": at(f"{settlement}InvoiceCurrencyCode"),
        "reference": at(f"{agreement}BuyerReference"),
        "order": at(f"{agreement}BuyerOrderReferencedDocument/ram:IssuerAssignedID"),
        "contract": at(f"{agreement}ContractReferencedDocument/ram:IssuerAssignedID"),
        "preceding": at(f"{settlement}InvoiceReferencedDocument/ram:IssuerAssignedID"),
        "seller": at(f"{agreement}SellerTradeParty/ram:Name"),
        "buyer": at(f"{agreement}BuyerTradeParty/ram:Name"),
        "seller vat": at(f"{agreement}Seller{tax_id}"),
        "buyer vat": at(f"{agreement}Buyer{tax_id}"),
        "seller endpoint": at(f"{agreement}SellerTradeParty/ram:URIUniversalCommunication/ram:URIID/@schemeID"),
        "means": at(f"{means}TypeCode"),
        "account": at(f"{means}PayeePartyCreditorFinancialAccount/ram:IBANID"),
        "mandate": at(f"{terms}DirectDebitMandateID"),
        "debited": at(f"{means}PayerPartyDebtorFinancialAccount/ram:IBANID"),
        "creditor": at(f"{settlement}CreditorReferenceID"),
        "terms": at(f"{terms}Description"),
        "start": at(f"{settlement}BillingSpecifiedPeriod/ram:StartDateTime/udt:DateTimeString"),
        "end": at(f"{settlement}BillingSpecifiedPeriod/ram:EndDateTime/udt:DateTimeString"),
        "delivered on": at(f"{trade}ApplicableHeaderTradeDelivery//udt:DateTimeString"),
        "delivered": at(f"{trade}ApplicableHeaderTradeDelivery//ram:CountryID"),
    }
    amounts = {
        "lines": _number(at(f"{totals}LineTotalAmount")),
        "net": _number(at(f"{totals}TaxBasisTotalAmount")),
        "tax": _number(at(f"{totals}TaxTotalAmount")),
        "gross": _number(at(f"{totals}GrandTotalAmount")),
        "paid": _number(at(f"{totals}TotalPrepaidAmount")),
        "due": _number(at(f"{totals}DuePayableAmount")),
    }
    groups = tuple(
        (
            at("ram:CategoryCode", group),
            _number(at("ram:RateApplicablePercent", group)),
            _number(at("ram:BasisAmount", group)),
            _number(at("ram:CalculatedAmount", group)),
            at("ram:ExemptionReason", group),
            at("ram:ExemptionReasonCode", group),
        )
        for group in root.xpath(f"{settlement}ApplicableTradeTax", namespaces=_CII)
    )
    within = "ram:SpecifiedLineTradeSettlement/ram:"
    lines = tuple(
        (
            at("ram:AssociatedDocumentLineDocument/ram:LineID", line),
            at("ram:SpecifiedTradeProduct/ram:Name", line),
            at("ram:SpecifiedTradeProduct/ram:Description", line),
            at("ram:SpecifiedLineTradeDelivery/ram:BilledQuantity", line),
            at("ram:SpecifiedLineTradeDelivery/ram:BilledQuantity/@unitCode", line),
            at("ram:SpecifiedLineTradeAgreement/ram:NetPriceProductTradePrice/ram:ChargeAmount", line),
            at(f"{within}SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount", line),
            at(f"{within}SpecifiedTradeAllowanceCharge/ram:ActualAmount", line),
            at(f"{within}SpecifiedTradeAllowanceCharge/ram:Reason", line),
            at(f"{within}ApplicableTradeTax/ram:CategoryCode", line),
            at(f"{within}ApplicableTradeTax/ram:RateApplicablePercent", line),
            at(f"{within}ReceivableSpecifiedTradeAccountingAccount/ram:ID", line),
            at(f"{within}BillingSpecifiedPeriod/ram:StartDateTime/udt:DateTimeString", line),
        )
        for line in root.xpath(f"{trade}IncludedSupplyChainTradeLineItem", namespaces=_CII)
    )
    names = _texts(root, ".//ram:ApplicableProductCharacteristic/ram:Description", _CII)
    values = _texts(root, ".//ram:ApplicableProductCharacteristic/ram:Value", _CII)
    notes = _texts(root, "rsm:ExchangedDocument/ram:IncludedNote/ram:Content", _CII)
    return Told(heads, amounts, groups, lines, notes, tuple(zip(names, values, strict=True)))
