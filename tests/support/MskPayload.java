// Signs logins with Amazon's own client: one line of standard input for each, one line of JSON out.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.msk.auth.iam.internals.AWS4SignedPayloadGenerator;
import software.amazon.msk.auth.iam.internals.AuthenticationRequestParams;

/** A line holds host, key id, key and session token (may be empty), in base64 with a comma between them. */
public class MskPayload {
    // It takes the time twice; when a second ends in between, the login is valid for a second less.
    private static final String WHOLE = "\"x-amz-expires\":\"900\"";

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] given = line.split(",", -1);
            for (int i = 0; i < given.length; i++) {
                given[i] = new String(Base64.getDecoder().decode(given[i]), StandardCharsets.UTF_8);
            }
            AwsCredentials credentials = given[3].isEmpty()
                    ? AwsBasicCredentials.create(given[1], given[2])
                    : AwsSessionCredentials.create(given[1], given[2], given[3]);
            String payload;
            do {
                payload = new String(
                        new AWS4SignedPayloadGenerator()
                                .signedPayload(AuthenticationRequestParams.create(given[0], credentials, "test")),
                        StandardCharsets.UTF_8);
            } while (!payload.contains(WHOLE));
            System.out.println(payload);
        }
    }
}
