/** What this Worker knows. Made up. */
export const TEXTS = [
  "We are open from nine to five on weekdays, and closed on public holidays.",
  "Send a parcel back within thirty days, unworn and with its receipt, and you get a full refund.",
  "Delivery is free for orders above fifty euros; below that it costs four euros ninety.",
  "You can pay by credit card, by bank transfer or in cash at the counter.",
  "To reset your password, follow the link on the sign-in page and check your e-mail.",
  "Gift cards are valid for three years and cannot be exchanged for money.",
];
