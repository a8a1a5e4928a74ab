import { createHmac, timingSafeEqual } from "node:crypto";

// Whether the post is ours, unchanged and not older than five minutes. body: the Buffer as it came.
export function verify(secret, headers, body) {
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": given } = headers;
  const digest = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  const right = Buffer.from("v1," + digest);
  const fresh = Math.abs(Date.now() / 1000 - Number(timestamp)) <= 5 * 60;
  return fresh && given.split(" ").some((one) => {
    const other = Buffer.from(one);
    return other.length === right.length && timingSafeEqual(other, right);
  });
}
