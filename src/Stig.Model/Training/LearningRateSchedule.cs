using Stig.Model.Translation;

namespace Stig.Model.Training;

/// <summary>Learning rate as a function of the steps done.</summary>
internal static class LearningRateSchedule
{
    // Part of the run during which the rate is constant; the paper's.
    private const double ConstantFraction = 0.2;

    /// <summary>The rate of the next step.</summary>
    /// <param name="options">Rate at the start, number of steps; for <see cref="Preset.Official"/> epochs and steps an epoch.</param>
    /// <param name="completedSteps">Steps done, from 0.</param>
    public static double At(TrainingOptions options, long completedSteps) =>
        options.LearningRate * (options.Preset == Preset.Official && options.Epochs > 0
            ? OfficialFactor(options.Epochs, options.StepsPerEpoch, completedSteps)
            : Factor(options.Steps, completedSteps));

    /// <summary>Constant for the first fifth of the steps, then linear to zero, which the step after the last would have.</summary>
    public static double Factor(long steps, long completedSteps)
    {
        double constant = ConstantFraction * steps;
        return Math.Clamp(1 - ((completedSteps - constant) / (steps - constant)), 0, 1);
    }

    /// <summary>
    /// The reference implementation's: 1 - max(0, k - n int(0.2 E)) / (n int(0.8 E) + 1) for E epochs of n steps after k steps. Its two
    /// truncations make it negative near the end whenever int(0.2 E) + int(0.8 E) is less than E.
    /// </summary>
    public static double OfficialFactor(int epochs, int stepsPerEpoch, long completedSteps) =>
        1 - (Math.Max(0, completedSteps - (stepsPerEpoch * (long)(0.2 * epochs))) / (double)((stepsPerEpoch * (long)(0.8 * epochs)) + 1));
}
