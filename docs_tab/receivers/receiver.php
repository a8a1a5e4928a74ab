<?php
/**
 * A receiver for the posts of webhookhub, in one file. Needs PHP 8.0 or newer and nothing else.
 *
 * Put it on your web server, with HOTTOK and WEBHOOK_SECRET in the environment (or written in below), and INBOX
 * a folder that PHP may write and that nobody can open in a browser.
 *
 * It checks token and signature, keeps the post as a file, answers 200 and only then works on it. A post that
 * comes twice has the same webhook-id, so its file is there already and nothing is done twice. What was kept but
 * not finished, because PHP stopped or work() failed, is taken up again with the next post.
 *
 * Change work().
 */

declare(strict_types=1);

const TOLERANCE = 5 * 60; // seconds by which our clocks may differ
const MOST = 1024 * 1024; // bytes of a post

$tokens = explode(',', (string) getenv('HOTTOK')); // while you rotate the token: both, with a comma
$secret = (string) base64_decode(substr((string) getenv('WEBHOOK_SECRET'), strlen('whsec_')), true);
$inbox = getenv('INBOX') ?: dirname(__DIR__) . '/inbox'; // may be emptied of what is older than a month

/** What you do with a post. Throw an exception and it is tried again with the next one. */
function work(array $post): void
{
    if (($post['version'] ?? '') === '2.0.0') {
        error_log($post['event'] . ' ' . ($post['data']['purchase']['transaction'] ?? ''));
    } else { // 1.0.0
        error_log(($post['status'] ?? 'json') . ' ' . ($post['transaction'] ?? ''));
    }
}

/** Why the post is not to be believed; empty if it is. */
function problem(array $tokens, string $secret, string $id, string $body): string
{
    $token = $_SERVER['HTTP_X_HOTMART_HOTTOK'] ?? '';
    $known = array_filter($tokens, fn (string $one): bool => $one !== '' && hash_equals($one, $token));
    if ($secret === '') {
        return 'This receiver has no WEBHOOK_SECRET.';
    }
    if (!$known) {
        return 'The token is wrong.';
    }
    $timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (!preg_match('/^[A-Za-z0-9_-]{1,64}$/D', $id)) {
        return 'The webhook-id is missing.';
    }
    if (!preg_match('/^[0-9]{1,12}$/D', $timestamp) || abs(time() - (int) $timestamp) > TOLERANCE) {
        return 'The webhook-timestamp is too old or too new: is the clock right?';
    }
    $right = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $secret, true));
    foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $one) { // two for a day after a rotation
        if (hash_equals($right, $one)) {
            return '';
        }
    }
    return 'The signature is wrong.';
}

/** Write the post to the disk, whole or not at all. False if it is there already. */
function keep(string $inbox, string $id, string $body): bool
{
    if (!is_dir($inbox) && !mkdir($inbox, 0700, true) && !is_dir($inbox)) {
        throw new RuntimeException("The folder $inbox cannot be made.");
    }
    $name = tempnam($inbox, 'new');
    if ($name === false || file_put_contents($name, $body) !== strlen($body)) {
        throw new RuntimeException("Nothing can be written to $inbox.");
    }
    $isNew = @link($name, "$inbox/$id.post"); // fails where there is one: of two at once, one wins
    unlink($name);
    if (!$isNew && !file_exists("$inbox/$id.post")) {
        throw new RuntimeException("Nothing can be written to $inbox.");
    }
    return $isNew;
}

/** The post as an array: JSON, or the form of version 1.0.0. */
function read(string $body): array
{
    if (str_starts_with($body, '{')) {
        return json_decode($body, true, 512, JSON_THROW_ON_ERROR);
    }
    parse_str($body, $post);
    return $post;
}

/** Send the answer now, whatever is still to be done here. */
function answer(int $status, string $text): void
{
    ignore_user_abort(true);
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    header('Content-Length: ' . strlen($text));
    header('Connection: close');
    echo $text;
    if (function_exists('fastcgi_finish_request')) {
        fastcgi_finish_request();
        return;
    }
    while (ob_get_level() > 0) {
        ob_end_flush();
    }
    flush();
}

/** Work on all that is kept and not finished, but for what another request is working on right now. */
function finish(string $inbox): void
{
    $waiting = array_filter(glob("$inbox/*.post"), fn (string $path): bool => !file_exists("$path.done"));
    usort($waiting, fn (string $a, string $b): int => filemtime($a) <=> filemtime($b));
    foreach ($waiting as $path) {
        $lock = fopen($path, 'r'); // given back when it is closed, also by a program that dies
        if (!flock($lock, LOCK_EX | LOCK_NB) || file_exists("$path.done")) {
            continue;
        }
        try {
            work(read((string) file_get_contents($path)));
            touch("$path.done");
        } catch (Throwable $error) {
            error_log((string) $error);
        }
    }
}

if (($_SERVER['REQUEST_METHOD'] ?? '') !== 'POST') {
    answer(405, 'POST only.');
    return;
}
$body = (string) file_get_contents('php://input', false, null, 0, MOST + 1);
if (strlen($body) > MOST) {
    answer(413, 'The post is too long.');
    return;
}
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
if ($wrong = problem($tokens, $secret, $id, $body)) {
    answer(401, $wrong);
    return;
}
answer(200, keep($inbox, $id, $body) ? 'ok' : 'ok, I have it already');
finish($inbox);
