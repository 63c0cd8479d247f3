using Stig.Model.Graphs;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Golden;

/// <summary>Options of the step that a file holds, from its metadata and shapes.</summary>
internal static class OfficialStep
{
    /// <param name="file">File with hyper-parameters, MLP weights and images.</param>
    /// <param name="image">Tensor with the fake images, [B, 3, S, S].</param>
    /// <param name="weights">File with the generator.</param>
    /// <param name="prefix">What stands before the parameters' names in both files.</param>
    public static TrainingOptions Options(GoldenFile file, string image, GoldenFile weights, string prefix = "")
    {
        Shape images = file.ShapeOf(image);
        return TrainingOptions.For(Preset.Official) with
        {
            Size = images.H,
            Batch = images.N,
            Width = weights.ShapeOf($"{prefix}generator.final.weight")[1],
            ProjectionDimensions = file.ShapeOf($"{prefix}mlp.mlp_0.0.weight")[0],
            Patches = (int)file.Number("num_patch"),
            Temperature = file.Number("nce_T"),
            LowFrequencyRadius = (int)file.Number("sigma"),
            LearningRate = file.Number("lr"),
            Beta1 = file.Number("beta1"),
            Beta2 = file.Number("beta2"),
            Epsilon = file.Number("adam_eps"),
            Epochs = (int)file.Number("epoch"),
            Losses = new LossWeights(file.Number("lambda_GAN"), file.Number("lambda_PSD"), file.Number("lambda_NCE"),
                file.Number("weight_identity_hardcoded"), file.Number("weight_fake_identity_hardcoded"), file.Number("lambda_LF")),
        };
    }

    /// <summary>Inputs of the graph that hold positions, by the names they have in the files.</summary>
    public static IEnumerable<(string Name, Value Input)> PositionInputs(Graph graph) =>
        graph.Inputs
            .Where(input => input.Key.StartsWith("patch_ids.", StringComparison.Ordinal))
            .Select(input => (input.Key, input.Value));
}
