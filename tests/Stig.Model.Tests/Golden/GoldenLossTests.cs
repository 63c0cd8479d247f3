using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Golden;

/// <summary>Oracle: the reference's losses and profiles (file 05). Tolerance: <see cref="Tolerance"/>.</summary>
public sealed class GoldenLossTests
{
    [Fact]
    public void Structural_similarity_matches()
    {
        using GoldenFile file = GoldenFolder.Open("05_losses");
        var check = new GoldenCheck(file);
        foreach (string example in file.Between("", ".image1"))
        {
            using Evaluation run = new(file.Floats);
            Value image = run.Input(file, $"{example}.image2");
            Value similarity = run.Graph.StructuralSimilarity(run.Input(file, $"{example}.image1"), image);
            run.Expect(check, $"{example}.value", similarity);
            run.ExpectGradients(check, similarity, ($"{example}.grad_image2", image));
            run.Run();
        }

        check.Finish();
    }

    [Fact]
    public void Low_frequency_distance_matches()
    {
        using GoldenFile file = GoldenFolder.Open("05_losses");
        var check = new GoldenCheck(file);
        using Evaluation run = new(file.Floats);
        Value source = run.Input(file, "lf.src");
        Value target = run.Input(file, "lf.tgt");
        Value distance = run.Graph.LowFrequencyDistance(source, target, (int)file.Number("sigma"));
        run.Expect(check, "lf.value", distance);
        run.ExpectGradients(check, distance, ("lf.grad_src", source), ("lf.grad_tgt", target));
        run.Run();
        check.Finish();
    }

    [Theory]
    [InlineData("rect")]
    [InlineData("radial")]
    public void Ring_profiles_match(string kind)
    {
        using GoldenFile file = GoldenFolder.Open("05_losses");
        var check = new GoldenCheck(file);
        foreach (string example in file.Between(kind + "_", ".input"))
        {
            string part = $"{kind}_{example}";
            using Evaluation run = new(file.Floats);
            Value input = run.Input(file, $"{part}.input");
            Value means = run.Graph.RingProfile(input, Kind(kind), ChannelWeights.Luma);
            Value profile = run.Graph.RangeNormalize(means, perImage: false).Normalized;
            run.Expect(check, $"{part}.profile", profile);
            run.Read(profile, values =>
                check.Tensor($"{part}.sum_of_squares", [(float)values.Sum(value => (double)value * value)]));
            run.ExpectGradients(check, profile, run.Graph.Affine(profile, 2f), ($"{part}.grad_input", input));
            run.Run();
        }

        check.Finish();
    }

    [Theory]
    [InlineData("rect")]
    [InlineData("radial")]
    public void Ring_indices_and_counts_match(string kind)
    {
        // The gradient of ring r's mean is weight / count(r) at its pixels. With (r + 1) count(r) as cotangent, each pixel
        // shows its ring.
        using GoldenFile file = GoldenFolder.Open("05_losses");
        var check = new GoldenCheck(file);
        long[] count = file.Integers($"{kind}.ring_count");
        long[] index = file.Integers($"{kind}.ring_index");
        Shape shape = file.ShapeOf($"{kind}.ring_index");
        using Evaluation run = new(file.Floats);
        Value input = run.Input("spectrum", TensorType.Float(1, 1, shape[0], shape[1]), new float[shape.Count]);
        Value profile = run.Graph.RingProfile(input, Kind(kind), new ChannelWeights(1f));
        float[] factors = [.. count.Select((pixels, ring) => (float)((ring + 1) * pixels))];
        Value cotangent = run.Input("cotangent", TensorType.Float(1, count.Length), factors);
        Value gradient = Gradients.Of([(profile, cotangent)], [input])[0]!;

        // Integers below 2^24 divided by one of their factors: exact up to one rounding.
        run.Read(gradient, values => check.Values($"{kind}.ring_index", values, [.. index.Select(ring => ring + 1f)],
            new Tolerance(Measure.Largest, 1e-4)));
        run.Run();
        check.Finish();
    }

    [Fact]
    public void Spectral_discriminator_matches()
    {
        using GoldenFile file = GoldenFolder.Open("05_losses");
        var check = new GoldenCheck(file);
        using Evaluation run = new(file.Floats);
        Value profile = run.Input(file, "psd_forward.profile");
        Value prediction = new ProfileDiscriminator(profile.Shape[1]).Apply(run.Graph, profile);
        Value loss = run.Graph.MeanSquaredError(prediction, 1f);
        run.Expect(check, "psd_forward.prediction", prediction);
        run.Expect(check, "psd_forward.loss_mse_ones", loss);
        run.ExpectGradients(check, loss, [("psd_forward.grad_profile", profile),
            .. run.Graph.Parameters.Values.Select(parameter => ($"psd_forward.grad.{parameter.Name}", parameter))]);
        run.Run();
        check.Finish();
    }

    private static RingKind Kind(string name) => name == "rect" ? RingKind.Rect : RingKind.Radial;
}
