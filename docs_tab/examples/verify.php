<?php
/** Whether the post is ours, unchanged and not older than five minutes. $body: file_get_contents('php://input'). */
function verify(string $secret, string $body): bool
{
    $key = base64_decode(substr($secret, strlen('whsec_')));
    $id = $_SERVER['HTTP_WEBHOOK_ID'];
    $timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'];
    $right = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    $fresh = abs(time() - (int) $timestamp) <= 5 * 60;
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE']) as $one) {
        if ($fresh && hash_equals($right, $one)) {
            return true;
        }
    }
    return false;
}
