// Answers the prime factors of a whole number: {"num": 60000} gives 2,2,2,2,2,3,5,5,5,5.
export default {
  async fetch(request) {
    const { num } = await request.json().catch(() => ({}));
    if (!Number.isSafeInteger(num) || num < 2) {
      return new Response('send {"num": 60000}, a whole number from 2 to 2^53 - 1\n', { status: 400 });
    }
    return new Response(factors(num).join(","));
  },
};

function factors(num) {
  const found = [];
  for (let factor = 2; factor * factor <= num; factor += factor === 2 ? 1 : 2) {
    for (; num % factor === 0; num /= factor) found.push(factor);
  }
  return num > 1 ? [...found, num] : found;
}
