# What messages say, in English: the language that every text exists in.
#
# To change a text, put a file of the same name into /etc/dotmac-edge/languages with only the messages
# that differ; for another language, a file named after its tag, as yo.ftl. The daemon reads them at start
# and refuses a file with a message, a part or a variable that is not known here.
#
# A message has the parts .subject and .mail for mail, .sms for SMS. An SMS costs by parts of 160 letters.

# How amounts and days are written.
amount = { $currency } { $figure }
thousands = ,
decimal = .
day = { $day } { $month ->
    [jan] January
    [feb] February
    [mar] March
    [apr] April
    [may] May
    [jun] June
    [jul] July
    [aug] August
    [sep] September
    [oct] October
    [nov] November
   *[dec] December
} { $year }
moment = { $date }, { $time }

signup-code =
    .subject = Your code for { $site }
    .mail =
        Somebody, probably you, asked for "{ $plan }" at { $site } with this e-mail address.

        Your code:

        { $code }

        Type it where you signed up. It counts for { $minutes } minutes.

        Or open this link on any device and press the button there. On another device than the one you signed up with it shows you a new password, which counts instead of the one you chose:

        { $link }

        If it was not you, do nothing: without the code or the link nothing is set up.
    .sms = { $code } is your code for { $site }. It counts for { $minutes } minutes. Give it to nobody.

signup-known =
    .subject = Your code for { $site }
    .mail =
        Somebody, probably you, signed up at { $site } with this e-mail address. You have an account there already, so no second one is made.

        To log in with this code, type it where you signed up:

        { $code }

        It counts for { $minutes } minutes. Give it to nobody: it opens your account.

        If it was not you, do nothing.
    .sms = { $code } is your code for { $site }. It counts for { $minutes } minutes. Give it to nobody: it opens your account.

channel-test =
    .subject = A test from { $site }
    .mail =
        This message shows that mail from { $site } arrives. The code to confirm it with:

        { $code }

        It counts for { $minutes } minutes.
    .sms = { $code } confirms that SMS from { $site } arrive. It counts for { $minutes } minutes.

receipt =
    .subject = We received { $amount }
    .mail =
        We received { $amount } on { $date }. Thank you.

        Reference: { $reference }

        Your payments and invoices: { $link }

        { $site }
    .sms = { $site }: we received { $amount } on { $date }. Reference { $reference }. Thank you.

refunded =
    .subject = We give { $amount } back
    .mail =
        We give { $amount } back to you, by the way that you paid. It may take some days to arrive.

        Reference: { $reference }

        Your payments and invoices: { $link }

        { $site }
    .sms = { $site }: we give { $amount } back to you ({ $date }). Reference { $reference }. It may take some days.

invoice-issued =
    .subject = Invoice { $number }
    .mail =
        Your invoice { $number } for { $amount } is ready. Please pay it by { $date }.

        See and pay it here: { $link }

        { $site }
    .sms = { $site }: invoice { $number } for { $amount }, to be paid by { $date }: { $link }

reminder =
    .subject = { $amount } to pay by { $date }
    .mail =
        A reminder: { $amount } of invoice { $number } is to be paid by { $date }.

        Pay here: { $link }

        If you have paid already, thank you; there is nothing more to do.

        { $site }
    .sms = { $site }: { $amount } of invoice { $number } is to be paid by { $date }: { $link }

due =
    .subject = { $amount } is due
    .mail =
        { $amount } of invoice { $number } is due since { $date }. Please pay it, so that your service goes on.

        Pay here: { $link }

        { $site }
    .sms = { $site }: { $amount } of invoice { $number } is due. Please pay, so that your service goes on: { $link }

throttled =
    .subject = Your service was slowed down
    .mail =
        { $amount } is not paid, so your service was slowed down. It is back to full speed as soon as you have paid.

        Pay here: { $link }

        { $site }
    .sms = { $site }: { $amount } is not paid, so your service was slowed down. Pay for full speed: { $link }

garden =
    .subject = Please pay to go on
    .mail =
        { $amount } is not paid, so only this page is reached until you have paid. You are back online at once after that.

        Pay here: { $link }

        { $site }
    .sms = { $site }: { $amount } is not paid, so your service is on hold. You are back online once you pay: { $link }

suspended =
    .subject = Your service is suspended
    .mail =
        { $amount } is not paid, so your service is suspended. You are back online at once when you have paid.

        Pay here: { $link }

        { $site }
    .sms = { $site }: { $amount } is not paid, so your service is suspended. Pay to be back at once: { $link }

restored =
    .subject = Your service is back
    .mail =
        Thank you. Your service "{ $plan }" is back.

        { $site }
    .sms = { $site }: thank you. Your service "{ $plan }" is back.

terminated =
    .subject = Your service has ended
    .mail =
        Your service "{ $plan }" has ended, since { $amount } was not paid. To come back, sign in and choose a plan, or speak to us.

        { $link }

        { $site }
    .sms = { $site }: your service "{ $plan }" has ended, since { $amount } was not paid. To come back: { $link }

low-balance =
    .subject = Your wallet is low
    .mail =
        "{ $plan }" is renewed on { $date } for { $amount }, and your wallet holds { $balance }. Top it up before then to stay online.

        Top up here: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" renews on { $date } for { $amount }; your wallet holds { $balance }. Top up: { $link }

renewed =
    .subject = Renewed until { $date }
    .mail =
        "{ $plan }" was renewed for { $amount } and runs until { $date }.

        Your account: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" was renewed for { $amount } and runs until { $date }.

renewal-failed =
    .subject = Your plan was not renewed
    .mail =
        "{ $plan }" could not be renewed: it costs { $amount }, and your wallet holds { $balance }. It ends on { $date }.

        Pay here: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" was not renewed: it costs { $amount }, your wallet holds { $balance }. It ends on { $date }: { $link }

voucher =
    .subject = Your voucher for { $site }
    .mail =
        Your voucher for "{ $plan }":

        { $code }

        Type it at { $link } before { $date }. Whoever has the code can use it.

        { $site }
    .sms = { $site }: voucher for "{ $plan }": { $code } . Use it before { $date } at { $link }

password-changed =
    .subject = Your password was changed
    .mail =
        The password of your account at { $site } was changed on { $date }.

        If it was not you, speak to us at once.
    .sms = { $site }: the password of your account was changed. If it was not you, speak to us at once.

trial-ending =
    .subject = Your trial ends on { $date }
    .mail =
        Your trial of "{ $plan }" ends on { $date }. From then on it costs { $amount }.

        Go on here: { $link }

        { $site }
    .sms = { $site }: your trial of "{ $plan }" ends on { $date }. From then on it costs { $amount }: { $link }

top-up =
    .subject = { $what } added
    .mail =
        { $what } was added to your service for { $amount }. It counts until { $date }.

        Your account: { $link }

        { $site }
    .sms = { $site }: { $what } was added for { $amount }. It counts until { $date }.

quota-low =
    .subject = { $percent }% of your plan is used
    .mail =
        You have used { $percent }% of what "{ $plan }" holds for this period.

        More data or time: { $link }

        { $site }
    .sms = { $site }: { $percent }% of "{ $plan }" is used for this period. More: { $link }

quota-spent =
    .subject = Your plan is used up
    .mail =
        What "{ $plan }" holds for this period is used up.

        More data or time: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" is used up for this period. More: { $link }
