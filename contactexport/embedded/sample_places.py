"""Makes addresses and companies for the pools of sample contacts.

Faker makes them, except where it has no provider for a locale and would use English words.
"""

from typing import Any

SAUDI_STREETS = (
    "شارع الملك فهد", "شارع العليا", "طريق الملك عبدالله", "شارع الأمير سلطان", "شارع التحلية", "طريق المدينة",
    "شارع فلسطين", "شارع الستين", "شارع الظهران", "طريق خريص",
)  # fmt: skip
SAUDI_CITIES = (
    ("الرياض", "منطقة الرياض"), ("جدة", "منطقة مكة المكرمة"), ("مكة المكرمة", "منطقة مكة المكرمة"),
    ("المدينة المنورة", "منطقة المدينة المنورة"), ("الدمام", "المنطقة الشرقية"), ("الخبر", "المنطقة الشرقية"),
    ("بريدة", "منطقة القصيم"), ("أبها", "منطقة عسير"), ("تبوك", "منطقة تبوك"), ("حائل", "منطقة حائل"),
)  # fmt: skip


def make_place(fake: Any, code: str) -> dict[str, str | None]:
    """Returns address, city, state (None if the country has none), zip_code and company for a Faker locale."""
    if code == "ar_SA":
        city, region = fake.random_element(SAUDI_CITIES)
        return {
            "address": f"{fake.random_int(1, 9999)} {fake.random_element(SAUDI_STREETS)}",
            "city": city,
            "state": region,
            "zip_code": str(fake.random_int(10000, 99999)),
            "company": f"شركة {fake.last_name()} المحدودة",
        }
    return {
        "address": _street(fake, code),
        "city": fake.city(),
        "state": fake.administrative_unit() if hasattr(fake, "administrative_unit") else None,
        "zip_code": fake.postcode(),
        "company": _company(fake, code),
    }


def _street(fake: Any, code: str) -> str:
    if code == "ja_JP":
        return f"{fake.town()}{fake.chome()}{fake.ban()}{fake.gou()}"
    if code == "ko_KR":
        return f"{fake.road()} {fake.building_number()}"
    return str(fake.street_address())


def _company(fake: Any, code: str) -> str:
    if code == "he_IL":
        return f'{fake.last_name()} בע"מ'
    if code == "hi_IN":
        return f"{fake.last_name()} प्राइवेट लिमिटेड"
    return str(fake.company())
