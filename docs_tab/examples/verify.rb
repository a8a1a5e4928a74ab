require "openssl"

# Whether the post is ours, unchanged and not older than five minutes. body: the bytes as they came.
def verify(secret, headers, body)
  key = secret.delete_prefix("whsec_").unpack1("m")
  id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
  digest = OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{timestamp}.#{body}")
  right = "v1,#{[digest].pack("m0")}"
  fresh = (Time.now.to_i - timestamp.to_i).abs <= 5 * 60
  fresh && headers["webhook-signature"].split(" ").any? { |one| OpenSSL.secure_compare(right, one) }
end
