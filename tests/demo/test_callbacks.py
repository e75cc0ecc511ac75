"""What the demo sends as DingTalk and WeCom is what the platform takes for theirs."""

from datetime import UTC, datetime

from demo import callbacks
from notify.inbound import dingtalk, wecom

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"


def test_a_simulated_dingtalk_call_is_signed_and_read() -> None:
    call = callbacks.dingtalk("SEC1", "订单无法支付", sender="王敏", at=NOW.timestamp())
    assert dingtalk.is_signed("SEC1", call.headers["timestamp"], call.headers["sign"], now=NOW)
    assert not dingtalk.is_signed("SEC2", call.headers["timestamp"], call.headers["sign"], now=NOW)
    read = dingtalk.read(call.body, now=NOW)
    assert (read.text, read.sender_name, read.is_group) == ("订单无法支付", "王敏", True)


def test_a_simulated_wecom_call_is_signed_opened_and_read() -> None:
    call = callbacks.wecom("token", KEY, "corp", "订单无法支付", sender="li", at=NOW.timestamp())
    asked = dict(pair.split("=") for pair in call.query.split("&"))
    sealed = wecom.encrypted_in(call.body)
    assert wecom.is_signed("token", asked["msg_signature"], asked["timestamp"], asked["nonce"], sealed)
    read = wecom.read(wecom.decrypt(wecom.key_of(KEY), sealed, "corp"), now=NOW)
    assert (read.text, read.sender_id) == ("订单无法支付", "li")
