using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Golden;

/// <summary>
/// Oracle: the reference's projection heads and contrastive loss (file 04). Tolerance: <see cref="Tolerance"/>.
/// </summary>
public sealed class GoldenPatchNceTests
{
    [Fact]
    public void Projections_losses_and_gradients_match()
    {
        using GoldenFile file = GoldenFolder.Open("04_patchnce");
        var check = new GoldenCheck(file);
        int levels = file.Between("feat_q", "").Count;
        var temperature = (float)file.Number("nce_T");
        Shape head = file.ShapeOf("mlp.mlp_0.0.weight");
        var projection = new PatchProjection(new NestedUNet(head[1]), head[0]);
        using Evaluation run = new(file.Floats);
        var features = new Value[levels];
        var losses = new (float Weight, Value Loss)[levels];
        for (int level = 0; level < levels; level++)
        {
            Value positions = run.Positions(file, $"patch_ids{level}");
            features[level] = run.Input(file, $"feat_q{level}");
            Value query = projection.Apply(run.Graph, features[level], level, positions);
            Value key = projection.Apply(run.Graph, run.Input(file, $"feat_k{level}"), level, positions);
            run.Expect(check, $"pooled_q{level}", query);
            run.Expect(check, $"pooled_k{level}", key);
            IReadOnlyList<Value> outputs = run.Graph.Apply(new PatchNce(1, temperature), query, key);
            run.Expect(check, $"nce_mean{level}", outputs[0]);
            string perPatch = $"nce_per_patch{level}";
            string logits = $"logits{level}";
            run.Read(outputs[1], probability =>
            {
                ExpectPerPatch(check, perPatch, probability, groups: 1);
                if (check.Expects(logits))
                {
                    float[] expected = Probability(file.Floats(logits), file.ShapeOf(logits)[0]);
                    check.Values(logits, probability, expected, Tolerance.Of(file.Name, logits));
                }
            });
            losses[level] = ((float)(file.Number("lambda_NCE") / levels), outputs[0]);
        }

        // The reference pairs all levels with a list of one criterion: one level counts.
        Value official = run.Graph.WeightedSum(losses[0]);
        Value all = run.Graph.WeightedSum(losses);
        run.Expect(check, "official.total", official);
        run.Expect(check, "all_layers.total", all);
        Value[] parameters = [.. run.Graph.Parameters.Values];
        run.ExpectGradients(check, official, [("official.grad_feat_q0", features[0]), .. parameters
            .Where(parameter => parameter.Name.Contains("mlp_0.", StringComparison.Ordinal))
            .Select(parameter => ($"official.grad.{parameter.Name}", parameter))]);
        run.ExpectGradients(check, all, [.. features.Select((feature, level) => ($"all_layers.grad_feat_q{level}", feature)),
            .. parameters.Select(parameter => ($"all_layers.grad.{parameter.Name}", parameter))]);
        run.Run();
        check.Finish();
    }

    [Fact]
    public void Negatives_come_from_the_same_image_only()
    {
        using GoldenFile file = GoldenFolder.Open("04_patchnce");
        var check = new GoldenCheck(file);
        foreach (string images in file.Between("batch", ".q"))
        {
            int groups = int.Parse(images, System.Globalization.CultureInfo.InvariantCulture);
            using Evaluation run = new(file.Floats);
            Value query = run.Input(file, $"batch{images}.q");
            var contrast = new PatchNce(groups, (float)file.Number("nce_T"));
            IReadOnlyList<Value> outputs = run.Graph.Apply(contrast, query, run.Input(file, $"batch{images}.k"));
            run.Read(outputs[1], probability => ExpectPerPatch(check, $"batch{images}.nce_per_patch", probability, groups));
            run.ExpectGradients(check, outputs[0], ($"batch{images}.grad_q", query));
            run.Run();
        }

        check.Finish();
    }

    // The operation's second output holds softmax - 1 at the positive: exp(-cross entropy) - 1 of the row.
    private static void ExpectPerPatch(GoldenCheck check, string tensor, float[] probability, int groups)
    {
        if (check.Expects(tensor))
        {
            int patches = (int)Math.Round(Math.Sqrt(probability.Length / (double)groups));
            IEnumerable<int> rows = Enumerable.Range(0, patches * groups);
            float[] actual = [.. rows.Select(row => probability[(row * patches) + (row % patches)])];
            float[] expected = [.. check.File.Floats(tensor).Select(entropy => (float)(Math.Exp(-entropy) - 1))];
            check.Values(tensor, actual, expected, Tolerance.Of(check.File.Name, tensor));
        }
    }

    // The same output from logits [P, 1 + P], whose first column is the positive and whose diagonal after it is masked.
    private static float[] Probability(float[] logits, int patches)
    {
        float[] probability = new float[patches * patches];
        for (int row = 0; row < patches; row++)
        {
            ReadOnlySpan<float> z = logits.AsSpan(row * (patches + 1), patches + 1);
            double sum = 0;
            foreach (float value in z)
            {
                sum += Math.Exp(value - (double)z[0]);
            }

            for (int j = 0; j < patches; j++)
            {
                probability[(row * patches) + j] = (float)(j == row ? (1 - sum) / sum : Math.Exp(z[j + 1] - (double)z[0]) / sum);
            }
        }

        return probability;
    }
}
